import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { PROJECT } from '../helpers/cli.js';

interface Words {
  FLAG_WORDS: Record<string, string>;
  OLD_SPELLINGS: Record<string, string[]>;
  OTHER_WORDS: Record<string, string[]>;
}
interface Flag {
  name: string;
  type: string;
  hidden?: boolean;
  aliases?: string[];
  description?: string;
}
interface CommandFacts {
  id: string;
  flags: Record<string, Flag>;
  args: Record<string, { name: string }>;
}

const { FLAG_WORDS, OLD_SPELLINGS, OTHER_WORDS }: Words = await import(
  new URL('../../scripts/flag-words.js', import.meta.url).href
);
const manifest = JSON.parse(readFileSync(`${PROJECT}oclif.manifest.json`, 'utf8'));
const commands = Object.values(manifest.commands) as CommandFacts[];
const flags = commands.flatMap(({ id, flags }) => Object.values(flags).map((flag) => ({ id, ...flag })));
const shown = flags.filter(({ hidden }) => !hidden);

/** A sentence without what does not change its meaning. */
const bare = (text: string) =>
  text
    .toLowerCase()
    .replace(/\b(the|a|an|that|which|is|are)\b|[^a-z ]/g, '')
    .replace(/\s+/g, ' ')
    .trim();

describe('one word for one thing', () => {
  it('has a meaning for the flags of all commands (scripts/flag-words.js), and for no other', () => {
    expect([...new Set(shown.map(({ name }) => name))].sort()).toEqual(Object.keys(FLAG_WORDS).sort());
  });

  it('has no two words that mean the same', () => {
    const meanings = Object.values(FLAG_WORDS).map(bare);
    expect(meanings.filter((meaning, i) => meanings.indexOf(meaning) !== i)).toEqual([]);
    const wordOf = new Map<string, string>();
    const clashes = shown.filter(({ name, description = '' }) => {
      const text = bare(description);
      const other = text === '' ? undefined : wordOf.get(text);
      wordOf.set(text, other ?? name);
      return other !== undefined && other !== name;
    });
    expect(clashes.map(({ id, name }) => `${id} --${name}`)).toEqual([]);
  });

  it('calls no flag by a word that others use for what has a word here', () => {
    const foreign = new Set(Object.values(OTHER_WORDS).flat());
    const called = shown.filter(({ name }) => foreign.has(name));
    expect(called.map(({ id, name }) => `${id} --${name}`)).toEqual([]);
    expect(Object.keys(OTHER_WORDS).filter((word) => !(word in FLAG_WORDS))).toEqual([]);
  });

  it('keeps the kind of a flag: with a value everywhere, or without', () => {
    const kinds = new Map<string, Set<string>>();
    for (const { name, type } of flags) kinds.set(name, (kinds.get(name) ?? new Set()).add(type));
    expect([...kinds].filter(([, types]) => types.size > 1).map(([name]) => name)).toEqual([]);
  });

  it('knows every old spelling, and that it is not shown', () => {
    const old = flags.flatMap(({ name, aliases = [] }) => aliases.map((alias) => [name, alias]));
    const unknown = old.filter(([name, alias]) => !OLD_SPELLINGS[name]?.includes(alias));
    expect(unknown).toEqual([]);
    const used = new Set([...old.map(([name, alias]) => `${name} ${alias}`), 'gate quick']); // a flag of its own, without a value
    const known = Object.entries(OLD_SPELLINGS).flatMap(([word, all]) => all.map((one) => `${word} ${one}`));
    expect(known.filter((one) => !used.has(one))).toEqual([]);
  });

  it('takes --out wherever something is written, and --quiet everywhere', () => {
    const without = commands.filter(({ flags }) => !('quiet' in flags));
    expect(without.map(({ id }) => id)).toEqual([]);
    const outs = flags.filter(({ name }) => name === 'out');
    expect(outs.filter(({ aliases = [] }) => !aliases.includes('output')).map(({ id }) => id)).toEqual([]);
  });
});
