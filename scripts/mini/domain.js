// hpsv3-mini-a adapted to a domain by 200 labels, and the card that says what was gained there and forgotten elsewhere.
import { copyFileSync, existsSync, mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { DOMAINS, drawSources } from './domains.js';
import {
  change,
  exported,
  figure,
  heldOut,
  hpsv3,
  json,
  judged,
  ROOT,
  SEEDS,
  scored,
  startOf,
  synth,
  TOKENIZER,
  writeHalf,
} from './tools.js';

/** Comparisons, of one vote each. */
const LABELS = 200;
const RANK = 8;
const TRAINED = 'visual.*,fusion.*,head.*';
const HELD_OUT_PAIRS = 600;
const SOURCES = { train: 50, heldOut: 150 };
/** Comparisons as hpsv3-mini-a was trained on, learnt again beside the new ones, so that less of them is forgotten. */
const OLD_LABELS = 600;
/** What forgetting is looked for in. Clips take as long as all of these. */
const OLD = ['image', 'text', 'image-text', 'audio'];

export async function makeDomain(name, { work, into }) {
  const domain = DOMAINS[name];
  const comparisons = async (part, seed, sources, pairs, more) => {
    const drawn = `${work}/${name}-${part}-sources`;
    if (!existsSync(join(ROOT, drawn))) await drawSources(domain, join(ROOT, drawn), sources, seed);
    const damage = ['--perturbation', domain.perturbations.join(','), '--pairs-per-source', '4', '--source', drawn];
    return synth(`${work}/${name}-${part}`, domain.modality, seed, pairs, [...damage, ...domain.sizes, ...more]);
  };
  const labels = await comparisons('train', SEEDS.train, SOURCES.train, LABELS, ['--raters', '1']);
  const old = synth(`${work}/${name}-old`, domain.modality, SEEDS.train, OLD_LABELS, domain.sizes);
  const unseen = await comparisons('held-out', SEEDS.heldOut, SOURCES.heldOut, HELD_OUT_PAIRS, []);

  const start = startOf(into, 'a');
  const folder = `${into}/hpsv3-mini-${name}`;
  mkdirSync(join(ROOT, folder), { recursive: true });
  const tuned = `${work}/${name}.safetensors`;
  const report = JSON.parse(
    hpsv3(
      'finetune',
      ...['--checkpoint', `${start}/model.safetensors`, '--modality', domain.modality],
      ...['--labels', labels, '--labels', old],
      ...['--train', TRAINED, '--lora', RANK, '--seed', 1, '--gate', 'off', '--force', '--json', '--quiet'],
      ...['--out', `${work}/${name}.onnx`, '--out-checkpoint', tuned],
    ),
  );
  await writeHalf(join(ROOT, tuned), join(ROOT, folder, 'model.safetensors'), json(`${start}/config.json`));
  copyFileSync(join(ROOT, start, 'config.json'), join(ROOT, folder, 'config.json'));
  copyFileSync(join(ROOT, TOKENIZER), join(ROOT, folder, 'tokenizer.json'));

  const beside = (modality, data) => {
    const [before, after] = [start, folder].map((checkpoint) => {
      const model = exported(work, checkpoint, modality);
      return scored(model, data, `${model}.${data.split('/').at(-1)}.scores.jsonl`);
    });
    return judged(after, data, before);
  };
  const gained = beside(domain.modality, unseen);
  const forgotten = OLD.map((modality) => [modality, beside(modality, heldOut(work, modality))]);
  writeFileSync(join(ROOT, folder, 'README.md'), card(name, domain, { report, gained, forgotten }));
}

const pairedRow = (words, { n, baseline: { comparisons } }) =>
  ['auc', 'accuracy']
    .map((metric) => {
      const compared = comparisons[metric];
      const name = metric === 'auc' ? 'AUC' : 'accuracy';
      return `| ${words} | ${n} | ${name} | ${figure(compared.baseline)} | ${figure(compared.model)} | ${change(compared)} |`;
    })
    .join('\n');

function card(name, { words, perturbations, modality }, { report, gained, forgotten }) {
  const { trained, bestStep, steps, lr } = report;
  return `# hpsv3-mini-${name}

[hpsv3-mini-a](../hpsv3-mini-a/README.md) adapted to ${words} by ${LABELS} labels. Like it, it knows damage and nothing of what people like.

| | |
| --- | --- |
| made from | checkpoints/hpsv3-mini-a |
| training data | ${LABELS} comparisons of ${SOURCES.train} drawn sources, one vote each: ${perturbations.join(', ')}; ${OLD_LABELS} as hpsv3-mini-a was trained on; \`hpsv3 synth\` seed ${SEEDS.train} |
| adapted | ${TRAINED} by LoRA of rank ${RANK} (${trained.parameters.toLocaleString('en')} parameters, head included), ${steps} steps at ${lr}, the best (${bestStep}) by a fifth of the labels |
| held-out data | ${HELD_OUT_PAIRS} comparisons of ${SOURCES.heldOut} other sources of the domain by five other raters; of all else the held-out sets of hpsv3-mini-a, clips left out |
| made by | \`npm run train:mini -- --domain ${name}\` |
| licence | Apache-2.0, as the software: nothing of anybody else went into it |

## Gained and forgotten

Before is hpsv3-mini-a, after this checkpoint, on the same comparisons. In brackets 95 % intervals over sources, of the change paired ones;
\`better\` and \`worse\` are what chance does not explain. The AUC of single votes never reaches 1: raters disagree.

| Comparisons | n | figure | before | after | change |
| --- | --- | --- | --- | --- | --- |
${pairedRow(`**${name}** (${modality}): gained`, gained)}
${forgotten.map(([other, report]) => pairedRow(`${other}: forgotten`, report)).join('\n')}

By damage, in the domain:

| Damage | n | AUC | Accuracy |
| --- | --- | --- | --- |
${gained.groups.map(({ value, n, metrics }) => `| ${value} | ${n} | ${figure(metrics.auc)} | ${figure(metrics.accuracy)} |`).join('\n')}

Take it for the domain, and hpsv3-mini-a for all else.
`;
}
