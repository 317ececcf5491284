import { readdirSync, readFileSync } from 'node:fs';
import { PROJECT } from './cli.js';

/** README and every page of docs. */
export const PAGES = [
  'README.md',
  ...readdirSync(`${PROJECT}docs`)
    .filter((name) => name.endsWith('.md'))
    .map((name) => `docs/${name}`),
];

/** A block of commands. Those of kind console show what comes out, those of kind sh are commands alone. */
export interface Block {
  readonly page: string;
  readonly kind: 'console' | 'sh';
  readonly text: string;
  /** Why it is not typed: what a comment `<!-- not run: reason -->` before it says; null where it is typed. */
  readonly reason: string | null;
}

/** Blocks of commands of a page, in their order. */
export function blocksOf(page: string): Block[] {
  const text = readFileSync(`${PROJECT}${page}`, 'utf8');
  const blocks = text.matchAll(/(?:<!-- not run: (.+?) -->\n)?^```(console|sh|bash|shell)\n([\s\S]*?)^```/gm);
  return [...blocks].map(([, reason = null, kind, block]) => {
    return { page, kind: kind === 'console' ? 'console' : 'sh', text: block.trimEnd(), reason };
  });
}

/** A command as a page has it, and the lines that it says come out. */
export interface Typed {
  readonly page: string;
  readonly command: string;
  readonly shown: readonly string[];
  /** Why it is not typed; null where it is. */
  readonly reason: string | null;
}

/** Commands of the blocks of kind console, in their order. */
export const typedIn = (page: string): Typed[] =>
  blocksOf(page)
    .filter(({ kind }) => kind === 'console')
    .flatMap(({ text, reason }) =>
      text
        .split(/^\$ /m)
        .slice(1)
        .map((piece) => {
          const [command, ...shown] = piece.trimEnd().split('\n');
          return { page, command, shown, reason };
        }),
    );

/** Command lines of a block, comments left out and continued lines put together; of kind console those after `$`. */
export function commandLines({ kind, text }: Pick<Block, 'kind' | 'text'>): string[] {
  const lines = text.replaceAll(/\\\n\s*/g, ' ').split('\n');
  const typed = kind === 'sh' ? lines : lines.filter((line) => line.startsWith('$ ')).map((line) => line.slice(2));
  return typed.map((line) => line.replace(/(^|\s+)#.*$/, '').trim()).filter((line) => line !== '');
}

/** Words of a command line; quotes keep spaces. */
export const wordsOf = (command: string): string[] =>
  [...command.matchAll(/'([^']*)'|"([^"]*)"|(\S+)/g)].map(([, single, double, plain]) => single ?? double ?? plain);
