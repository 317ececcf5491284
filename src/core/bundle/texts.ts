import type { CardFacts } from '../card/card-facts.js';
import { yamlBlock } from '../card/yaml-block.js';
import type { Bundle } from './bundle-file.js';
import type { Target } from './targets.js';

export const CONFIG_FILE = 'hpsv3_config.yaml';
export const README_FILE = 'README_RELEASE.md';

export interface RuntimeConfig {
  readonly models: readonly string[];
  readonly calibrator: string | null;
}

/** What the runner reads where no option says otherwise. Paths are from the release's folder, as in no other configuration file. */
export function configText({ models, calibrator }: RuntimeConfig): string {
  return `# Read by run_hpsv3 where no option on the command line says otherwise. Paths start at this folder.
model: ${models.length === 1 ? models[0] : `\n${models.map((model) => `  - ${model}`).join('\n')}`}
${calibrator === null ? '' : `calibrator: ${calibrator}\n`}# cpu, webgpu, cuda, cuda:1 or auto; cuda needs libraries of NVIDIA that no release holds.
device: cpu
# Rows computed at a time by batch and serve; no score depends on it.
batch-size: 16
# Of serve: seconds for an answer, MiB of a request's body, connections at a time.
deadline: 60
max-body: 32
max-connections: 1024
`;
}

/** What stands in README_RELEASE.md. */
export interface ReadmeFacts {
  readonly bundle: Bundle;
  readonly target: Target;
  readonly card: CardFacts;
  readonly signed: boolean;
  /** What releases of all targets have in common that a reader should know, one sentence each. */
  readonly notes: readonly string[];
}

export function readmeText({ bundle, target, card, signed, notes }: ReadmeFacts): string {
  const windows = target.platform === 'win32';
  const run = windows ? 'run_hpsv3.exe' : './run_hpsv3';
  const { recorded, tolerance, scores } = bundle.samples;
  const uncalibrated = bundle.models.filter(({ calibrated }) => !calibrated);
  const native = (name: string) => bundle.natives.find((part) => part.package === name)?.version;
  const node = bundle.natives.find(({ package: name }) => name.startsWith('node-'));
  return `# ${card.name}

A release of ${bundle.models.map(({ file }) => `\`${file}\``).join(', ')} for ${target.label}, made by ${bundle.tool}. It needs no Node, no Python and no network.
${card.text.details?.description ? `\n${card.text.details.description}\n` : ''}
## Run it

\`\`\`
${windows ? '' : 'chmod +x run_hpsv3\n'}${run} --input sample_inputs.json --mode demo
${run} --mode score --input sample.json --output result.json
${run} --mode batch --input batch.jsonl --output scores.jsonl --batch-size 64
${run} --mode serve --port 8080
${run} --help
\`\`\`

The demo scores the ${scores.length} rows of \`sample_inputs.json\` and compares them with the scores in \`bundle.json\`: to the bit on the kind of machine that
recorded them (${recorded.platform} ${recorded.arch}, ${recorded.cpu}, onnxruntime ${recorded.onnxruntime}), within ${tolerance} elsewhere. It ends with exit code 3 where one differs.
\`hpsv3_config.yaml\` holds the settings; options win.${windows ? '\n`run_hpsv3.bat` does the same as `run_hpsv3.exe`.' : ''}

## What the machine must have

${target.needs}. Clips are decoded by \`ffmpeg\`, which is not part of the release: put it on the PATH to score video.

## Calibration

${
  uncalibrated.length === 0
    ? `Scores of pairs are calibrated probabilities${bundle.calibrator ? ` (\`${bundle.calibrator.file}\`)` : ', by the calibrator in the model'}.`
    : `**Uncalibrated**: ${uncalibrated.map(({ file }) => `\`${file}\``).join(', ')}. The score of a pair is the sigmoid of the logit, which orders pairs and is no probability that people agree; there is no confidence.`
}
${notes.map((note) => `\n${note}\n`).join('')}
## Check it

\`\`\`
${windows ? 'certutil -hashfile run_hpsv3.exe SHA256        (and so on, by SHA256SUMS)' : 'sha256sum --check SHA256SUMS        (macOS: shasum -a 256 --check SHA256SUMS)'}
hpsv3 release verify .${signed ? ' --public-key KEY.pub' : ''}
\`\`\`

${
  signed
    ? '`model.sig` is a signature of OpenSSF Model Signing 1.0 over every file but `SHA256SUMS`; the PyPI package `model-signing` checks it as well:\n`model_signing verify key . --signature model.sig --public_key KEY.pub`. Get the public key from where you trust it to be, not from where the archive lies.'
    : 'This release is **not signed**: checksums show damage, and not who made it.'
}

| File | What it is |
| --- | --- |
| \`weights/\` | the model${bundle.models.length > 1 ? 's' : ''}, ONNX${bundle.calibrator ? ', and the calibrator' : ''} |
| \`MODEL_CARD.md\`, \`card/\` | what the model is for, what it was trained on, how well it does, by group |
| \`bundle.json\` | every part with its hash, and the recorded scores |
| \`sbom.cdx.json\` | bill of materials, CycloneDX 1.6: model, native libraries, packages, licences |
| \`provenance.json\` | what the release was made from, as SLSA provenance 1.0; nobody has signed it, so it proves nothing by itself |
| \`LICENSES/\` | terms of all parts |
| \`lib/\` | Node ${node?.version}, onnxruntime ${native('onnxruntime-node')}, sharp ${bundle.natives.find((part) => /sharp-(?!libvips)/.test(part.package))?.version}, and the program |

Licence of the weights: ${bundle.license ?? 'not stated'}.
`;
}

/** Text of a YAML document. */
export const yamlText = (value: object): string => yamlBlock(value as never);
