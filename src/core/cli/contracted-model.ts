import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { basename, join } from 'node:path';
import { MANIFEST_KEY } from '../onnx/manifest-names.js';
import { readContract } from './scoring-flags.js';

/**
 * The model itself, or with a contract a copy that has it inside, in a folder that goes with this process: for verbs that read what
 * a model says of itself.
 *
 * @param unlessTold - leaves a model as it is that says itself what it reads
 * @throws HpsError as `readContract` and `embedContract`
 */
export async function contractedModel(
  model: string,
  contract: string | undefined,
  { unlessTold = false }: { readonly unlessTold?: boolean } = {},
): Promise<string> {
  const file = await readContract(contract);
  if (file === undefined || (unlessTold && (await isTold(model)))) return model;
  const folder = mkdtempSync(join(tmpdir(), 'hpsv3-contract-'));
  process.once('exit', () => rmSync(folder, { recursive: true, force: true }));
  const { embedContract } = await import('../lifecycle/contract/embed.js');
  const out = join(folder, basename(model));
  await embedContract({ model, contract: file, out, gate: 'off' });
  return out;
}

async function isTold(path: string): Promise<boolean> {
  const { openOnnx } = await import('../onnx/read.js');
  const { model, close } = openOnnx(path);
  close();
  return model.metadataProps.some(({ key }) => key === MANIFEST_KEY);
}
