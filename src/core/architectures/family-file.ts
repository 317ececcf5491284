import { statSync } from 'node:fs';
import { register } from 'node:module';
import { basename, dirname, resolve } from 'node:path';
import { pathToFileURL } from 'node:url';
import { HpsError } from '../errors.js';
import type { Architecture, ArchitectureExporter } from './architecture.js';
import { ARCHITECTURES } from './registry.js';

/** A family from outside the package: the path of its file, or what such a file exports. */
export type FamilySource = string | Architecture | readonly Architecture[];

/**
 * The architectures of a family from outside the package, their failures told as the family's and not as ours. **Runs the code of
 * the file**: the path must come from whoever runs the program, never from another file.
 *
 * @throws HpsError FILE_NOT_FOUND; FAMILY_INVALID for a file that cannot be imported, or whose default export is no architecture
 */
export async function loadFamily(family: FamilySource): Promise<readonly Architecture[]> {
  const name = typeof family === 'string' ? basename(family) : 'the family';
  const exported = typeof family === 'string' ? await importFamily(family) : family;
  const members: readonly unknown[] = Array.isArray(exported) ? exported : [exported];
  if (members.length === 0) throw invalid(name, 'exports no architecture');
  return members.map((member) => guarded(name, asArchitecture(name, member)));
}

let isHooked = false;

async function importFamily(path: string): Promise<unknown> {
  const name = basename(path);
  if (!statSync(path, { throwIfNoEntry: false })?.isFile()) {
    throw new HpsError('FILE_NOT_FOUND', `${name}: no such file`, {
      hint: 'Give the path of the module that exports the family.',
      details: { file: name },
    });
  }
  if (!isHooked) {
    isHooked = true;
    const hooks = import.meta.url.endsWith('.ts')
      ? '../../../dist/core/architectures/family-hooks-main.js'
      : './family-hooks-main.js';
    register<string>(hooks, import.meta.url, { data: import.meta.url });
  }
  try {
    const module: { readonly default?: unknown } = await import(pathToFileURL(resolve(path)).href);
    return module.default;
  } catch (error) {
    throw failed(name, 'importing it', withoutFolders(error, dirname(resolve(path))));
  }
}

function asArchitecture(name: string, member: unknown): Architecture {
  const { id, label, recognise, load } = (member ?? {}) as Partial<Architecture>;
  const functions = [recognise, load].every((each) => typeof each === 'function');
  if (typeof id !== 'string' || !/^[a-z0-9][\w.-]{0,63}$/i.test(id) || typeof label !== 'string' || !functions) {
    throw invalid(name, 'its default export is not an architecture with id, label, recognise and load');
  }
  if (ARCHITECTURES.some((known) => known.id === id)) {
    throw invalid(name, `its id ${id} is that of an architecture of hpsv3, and models are told apart by it`);
  }
  return member as Architecture;
}

/** The architecture with what its code throws put into words; what it refuses in ours passes as it is. */
function guarded(name: string, architecture: Architecture): Architecture {
  const calling = <R>(what: string, call: () => R): R => {
    try {
      return call();
    } catch (error) {
      throw failed(name, what, error);
    }
  };
  return {
    ...architecture,
    recognise: (...args) => calling('recognise', () => architecture.recognise(...args)),
    async load(): Promise<ArchitectureExporter> {
      try {
        const exporter = await architecture.load();
        return { ...exporter, buildGraph: (...args) => calling('its graph', () => exporter.buildGraph(...args)) };
      } catch (error) {
        throw failed(name, 'load', error);
      }
    },
  };
}

/** Also an HpsError of another copy of the package, which the family may have imported. */
const isRefusal = (error: unknown): error is HpsError => error instanceof Error && error.name === 'HpsError';

function failed(name: string, what: string, error: unknown): HpsError {
  if (error instanceof HpsError) return error;
  if (isRefusal(error)) {
    return new HpsError(error.code, error.message, { hint: error.hint, details: error.details, cause: error });
  }
  const said = error instanceof Error ? `${error.name}: ${error.message}` : String(error);
  return new HpsError('FAMILY_INVALID', `${name}: ${what} failed: ${said}${placeOf(name, error)}`, {
    hint: 'Correct the file; docs/tasks.md shows a family that works.',
    details: { file: name },
    cause: error,
  });
}

/** What Node says of an import, without the folders of this machine. */
function withoutFolders(error: unknown, folder: string): unknown {
  if (error instanceof Error) error.message = error.message.replace(/ imported from .*/s, '').replaceAll(folder, '.');
  return error;
}

/** Line and column in the family's file, where the stack shows them. */
function placeOf(name: string, error: unknown): string {
  const lines = error instanceof Error ? (error.stack?.split('\n') ?? []) : [];
  const line = lines.find((each) => each.includes(`/${name}:`));
  const place = line && /:(\d+:\d+)\)?$/.exec(line)?.[1];
  return place ? ` (${name}:${place})` : '';
}

const invalid = (name: string, rule: string): HpsError =>
  new HpsError('FAMILY_INVALID', `${name}: ${rule}`, {
    hint: 'Export what `architectureOf` of hpsv3/graph gives; docs/tasks.md shows a family that works.',
    details: { file: name },
  });
