// How all checkpoints do on the same held-out comparisons: checkpoints/held-out.md.
import { existsSync, readdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { exported, figure, groupRows, heldOut, judged, modalitiesOf, ROOT, SIZES, scored, truthOf } from './tools.js';

export function writeTables({ work, into }) {
  const names = readdirSync(join(ROOT, into)).filter((name) => existsSync(join(ROOT, into, name, 'README.md')));
  const sections = Object.keys(SIZES).map((modality) => {
    const data = heldOut(work, modality);
    const able = names.filter((name) => modalitiesOf(name).includes(modality));
    const judgements = able.map((name) => {
      const model = exported(work, `${into}/${name}`, modality);
      return { name, report: judged(scored(model, data, `${work}/${name}-${modality}.scores.jsonl`), data) };
    });
    return section(modality, judgements, truthOf(data));
  });
  writeFileSync(join(ROOT, into, 'held-out.md'), `${[TITLE, ...sections].join('\n\n')}\n`);
}

const TITLE = `# Held-out comparisons

All checkpoints, each in what it is for, on the same comparisons, which none was trained on (\`npm run train:mini -- --tables\`). AUC and accuracy count votes, each of
five simulated raters; in brackets 95 % intervals over sources. Raters disagree: the AUC of the true utilities is given with each.`;

const section = (modality, judgements, truth) => `## ${modality} (AUC of the truth ${truth.toFixed(3)})

| Checkpoint | Perturbation | Pairs | AUC | Accuracy |
| --- | --- | --- | --- | --- |
${judgements
  .flatMap(({ name, report }) => [
    `| ${name} | **all** | ${report.n} | ${figure(report.overall.auc)} | ${figure(report.overall.accuracy)} |`,
    ...groupRows(report, name),
  ])
  .join('\n')}`;
