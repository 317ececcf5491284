import type { ByteCursor } from '../bytes/cursor.js';
import { unsafeFile } from '../bytes/refusal.js';
import { HpsError } from '../errors.js';
import { TorchVocabulary } from './pickle/torch-vocabulary.js';
import { unpickle } from './pickle/unpickle.js';
import type { PickleValue } from './pickle/values.js';

/**
 * Reads one pickle of a torch file with torch's vocabulary.
 * @throws HpsError CHECKPOINT_UNSAFE, saying so where the file holds a whole pickled nn.Module
 */
export function readTorchPickle(cursor: ByteCursor): PickleValue {
  try {
    return unpickle(cursor, new TorchVocabulary(cursor.name));
  } catch (error) {
    if (error instanceof HpsError && error.code === 'CHECKPOINT_UNSAFE' && holdsModule(cursor.bytes))
      throw wholeModel(cursor.name, error);
    throw error;
  }
}

/** A pickled nn.Module carries the attributes that every module has. */
function holdsModule(bytes: Uint8Array): boolean {
  const buffer = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  return buffer.includes('_parameters') && buffer.includes('_modules');
}

function wholeModel(file: string, refusal: HpsError): HpsError {
  return unsafeFile(
    file,
    `holds a whole pickled model, not a state dict, and loading it would run its code (${refusal.message.replace(`${file}: `, '')})`,
    SAVE_STATE_DICT,
  );
}

export const SAVE_STATE_DICT =
  'Where the model can be loaded, save its weights only: `torch.save(model.state_dict(), "weights.pt")`, or a safetensors file.';
