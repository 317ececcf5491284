import { copyFileSync, mkdirSync, writeFileSync } from 'node:fs';
import { basename, dirname, join } from 'node:path';
import type { BundleFile } from '../../bundle/archive.js';
import { HUB_MODEL_FILE, huggingFaceFiles, logitOf } from '../../bundle/huggingface.js';
import type { FolderLayout } from '../../bundle/layouts.js';
import type { readPrivateKey } from '../../bundle/signing-keys.js';
import { tritonConfig, tritonName, tritonText } from '../../bundle/triton.js';
import { withAtomicFolder } from '../../bytes/output-folder.js';
import { SUMS_FILE } from '../../bytes/sums.js';
import { HpsError } from '../../errors.js';
import { manifestOf, TOKENIZER_KEY } from '../../onnx/manifest.js';
import { metadataOf } from '../../onnx/model.js';
import { openOnnx } from '../../onnx/read.js';
import { mixesRows } from '../../scoring/model.js';
import type { ReleasedCard } from './released-card.js';
import { sealed } from './seal.js';

export interface LayoutOptions {
  readonly layout: FolderLayout;
  readonly model: string;
  readonly card: ReleasedCard;
  readonly key: ReturnType<typeof readPrivateKey> | null;
  readonly out: string;
  readonly force: boolean;
  readonly onWarning: (warning: string) => void;
}

/**
 * Writes the folder of a layout: the model as it is, what the other program reads of it, the card, hashes and a signature.
 * @returns its files, sorted
 * @throws HpsError ONNX_UNSUPPORTED for a model without a manifest, or that the other program cannot load; the OUTPUT_… codes
 */
export async function writeLayout(options: LayoutOptions): Promise<string[]> {
  const { layout, card, key, out, force } = options;
  const files = layout === 'triton' ? tritonFiles(options) : hubFiles(options);
  const all = await sealed(files, key, card.facts.name);
  await withAtomicFolder(out, { force, marker: SUMS_FILE }, async (folder) => {
    for (const { path, content } of all) {
      const to = join(folder, path);
      mkdirSync(dirname(to), { recursive: true });
      if (content instanceof Uint8Array) writeFileSync(to, content);
      else copyFileSync(content.file, to);
    }
  });
  return all.map(({ path }) => path).sort();
}

/** What lies beside a card is found by its hashes, which are those of the whole folder here. */
const cardFiles = ({ folder, files }: ReleasedCard, below: string): BundleFile[] =>
  files
    .filter((path) => path !== SUMS_FILE)
    .map((path) => ({ path: `${below}${path}`, content: { file: join(folder, path) } }));

function hubFiles({ model, card, onWarning }: LayoutOptions): BundleFile[] {
  return withModel(model, (opened, manifest) => {
    const data = opened.externalFiles.map(({ path }) => path);
    if (data.length > 0)
      onWarning(
        `${data.map((path) => basename(path)).join(', ')}: browsers do not load weights of that name; Node and optimum do.`,
      );
    const tokenizer = metadataOf(opened.model, TOKENIZER_KEY) ?? null;
    const made = huggingFaceFiles({ name: card.facts.name, manifest, tokenizer });
    return [
      { path: HUB_MODEL_FILE, content: { file: model } },
      ...data.map((path) => ({ path: `${dirname(HUB_MODEL_FILE)}/${basename(path)}`, content: { file: path } })),
      ...made,
      ...cardFiles(card, '').filter(({ path }) => !made.some((file) => file.path === path)),
    ];
  });
}

function tritonFiles({ model, card }: LayoutOptions): BundleFile[] {
  return withModel(model, (opened, manifest) => {
    const file = basename(model);
    const name = tritonName(file);
    const config = tritonConfig(opened.model, { name, file, mixesRows: mixesRows(opened.model) });
    return [
      { path: `${name}/config.pbtxt`, content: Buffer.from(config) },
      { path: `${name}/1/model.onnx`, content: { file: model } },
      ...opened.externalFiles.map(({ path }) => ({ path: `${name}/1/${basename(path)}`, content: { file: path } })),
      ...cardFiles(card, `${name}/card/`),
      { path: 'LOADING.md', content: Buffer.from(tritonText(name, logitOf(manifest))) },
    ];
  });
}

function withModel<T>(
  path: string,
  use: (opened: ReturnType<typeof openOnnx>, manifest: NonNullable<ReturnType<typeof manifestOf>>) => T,
): T {
  const opened = openOnnx(path);
  try {
    const file = basename(path);
    const manifest = manifestOf(opened.model, file);
    if (manifest !== null) return use(opened, manifest);
    throw new HpsError('ONNX_UNSUPPORTED', `${file}: carries no manifest, so nothing says what its inputs mean`, {
      hint: 'Put a contract into it with `hpsv3 contract`, or export the checkpoint with hpsv3.',
      details: { file },
    });
  } finally {
    opened.close();
  }
}
