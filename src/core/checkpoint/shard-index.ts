import { dirname, join } from 'node:path';
import { isJsonObject, looksLikeJsonWith, parseJson } from '../bytes/json.js';
import { corruptFile, unsafeFile } from '../bytes/refusal.js';
import type { FileSource } from '../bytes/source.js';
import { HpsError } from '../errors.js';
import { LIMITS } from '../limits.js';
import type { CheckpointFormat, CheckpointNode, RawCheckpoint } from './format.js';

/** Opens the file of one shard, which is not an index itself; on an error nothing is left open. */
export type OpenShard = (path: string) => Promise<RawCheckpoint>;

/**
 * A checkpoint in several files and the index that maps each tensor's name to its file, as Hugging Face writes it
 * (`model.safetensors.index.json`, `pytorch_model.bin.index.json`). Shards lie beside the index.
 */
export function makeShardIndexFormat(openShard: OpenShard): CheckpointFormat {
  return {
    id: 'shard-index',
    label: 'shard index (*.index.json)',
    sniff: (head) => looksLikeJsonWith(head, ['weight_map']),
    async open(source: FileSource): Promise<RawCheckpoint> {
      const weightMap = readWeightMap(source);
      const shards = new Map<string, RawCheckpoint>();
      try {
        for (const file of new Set(weightMap.values())) {
          shards.set(file, await openNamedShard(openShard, source, file));
        }
        const merged = mergeShards(source.name, weightMap, shards);
        return {
          ...merged,
          files: [source.path, ...[...shards.values()].flatMap((shard) => shard.files)],
          close() {
            closeAll(shards);
            source.close();
          },
        };
      } catch (error) {
        closeAll(shards);
        throw error;
      }
    },
  };
}

function closeAll(shards: ReadonlyMap<string, RawCheckpoint>): void {
  for (const shard of shards.values()) shard.close();
}

/** Tensor name -> file name. */
function readWeightMap(source: FileSource): ReadonlyMap<string, string> {
  if (source.byteLength > LIMITS.jsonBytes) {
    throw corruptFile(source.name, `an index of ${source.byteLength} bytes, at most ${LIMITS.jsonBytes} are read`);
  }
  const index = parseJson(source.readSync(0, source.byteLength), { name: source.name, code: 'CHECKPOINT_CORRUPT' });
  const weightMap = isJsonObject(index) ? index['weight_map'] : undefined;
  if (!isJsonObject(weightMap)) throw corruptFile(source.name, 'weight_map is not a JSON object');
  const entries = Object.entries(weightMap);
  if (entries.length > LIMITS.tensors) {
    throw corruptFile(source.name, `weight_map names ${entries.length} tensors, at most ${LIMITS.tensors} are allowed`);
  }
  const map = new Map<string, string>();
  for (const [name, file] of entries) {
    if (typeof file !== 'string')
      throw corruptFile(source.name, `weight_map gives no file name for ${JSON.stringify(name)}`);
    map.set(name, plainFileName(source.name, file));
  }
  const shards = new Set(map.values()).size;
  if (shards > LIMITS.shards) throw corruptFile(source.name, `${shards} shards, at most ${LIMITS.shards} are allowed`);
  return map;
}

/**
 * `file` if it names something in the folder of the file that mentions it, whatever the platform.
 * @throws HpsError CHECKPOINT_UNSAFE
 */
export function plainFileName(mentionedIn: string, file: string): string {
  if (file === '' || file === '.' || file === '..' || file.length > 255 || /[/\\:\p{Cc}]/u.test(file)) {
    throw unsafeFile(mentionedIn, `${JSON.stringify(file.slice(0, 200))} is not the plain name of a file beside it`);
  }
  return file;
}

async function openNamedShard(openShard: OpenShard, index: FileSource, file: string): Promise<RawCheckpoint> {
  try {
    return await openShard(join(dirname(index.path), file));
  } catch (error) {
    if (error instanceof HpsError && error.code === 'FILE_NOT_FOUND') throw missingShard(index.name, file);
    throw error;
  }
}

/** A file that another one mentions is not there. */
export const missingShard = (mentionedIn: string, file: string): HpsError =>
  corruptFile(mentionedIn, `its shard ${file} is missing`, `Put ${file} beside ${mentionedIn}.`);

function mergeShards(
  indexName: string,
  weightMap: ReadonlyMap<string, string>,
  shards: ReadonlyMap<string, RawCheckpoint>,
): Pick<RawCheckpoint, 'root' | 'ignored'> {
  const entries = new Map<string, CheckpointNode>();
  const ignored: { name: string; reason: string }[] = [];
  for (const [file, shard] of shards) {
    ignored.push(...shard.ignored);
    if (shard.root.kind !== 'map') throw corruptFile(file, 'a shard must hold named tensors');
    for (const [name, node] of shard.root.entries) {
      const owner = weightMap.get(name);
      if (owner === file) entries.set(name, node);
      else if (owner === undefined) ignored.push({ name, reason: `in ${file}, but not in ${indexName}` });
      else
        throw corruptFile(
          indexName,
          `${JSON.stringify(name)} is in two shards: in ${file}, and by the index in ${owner}`,
        );
    }
  }
  for (const [name, file] of weightMap) {
    if (!entries.has(name))
      throw corruptFile(indexName, `${JSON.stringify(name)} is not in ${file}, where the index says it is`);
  }
  return { root: { kind: 'map', entries }, ignored };
}
