import { FLAG_WORDS, OLD_SPELLINGS } from './flag-words.js';

/**
 * A page of Markdown a command, from oclif's metadata: `oclif.manifest.json` and the `oclif` section of package.json.
 *
 * @returns {Map<string, string>} text by file name, README.md (the index) among them
 */
export function commandPages(manifest, { bin, topics = {} }) {
  const commands = Object.values(manifest.commands)
    .filter(({ hidden }) => !hidden)
    .sort((a, b) => (a.id < b.id ? -1 : 1));
  const pages = new Map(commands.map((command) => [fileName(command), page(command, bin)]));
  const rows = commands.map((command) => [`[\`${typed(command)}\`](${fileName(command)})`, command.summary ?? '']);
  const about = Object.entries(topics).map(([name, { description }]) => `- \`${bin} ${name}\`: ${description}`);
  const index = [
    '# Commands',
    NOTE,
    table(['Command', 'Does'], rows),
    ...(about.length > 0 ? ['Topics hold several commands:', about.join('\n')] : []),
    'Every command takes `--help`, and `--json` for one document on standard output. [All flags](flags.md) in one table.',
  ];
  return pages.set('README.md', `${index.join('\n\n')}\n`).set('flags.md', flagPage(commands));
}

/** Every word that a flag is called by, what it means, and which commands have it. */
function flagPage(commands) {
  const rows = Object.entries(FLAG_WORDS).map(([word, meaning]) => {
    const having = commands.filter(({ flags = {} }) => flags[word] && !flags[word].hidden);
    const links = having.map((command) => `[${typed(command)}](${fileName(command)})`).join(', ');
    const old = (OLD_SPELLINGS[word] ?? []).map((one) => `\`--${one}\``).join(', ');
    return [`\`--${word}\``, meaning, having.length > commands.length / 2 ? 'most' : links, old];
  });
  const lines = rows.map((cells) => `| ${cells.join(' | ')} |`);
  const parts = [
    '# Flags',
    NOTE,
    'The same word means the same in every command. Arguments can be given as flags of their names, too: `inspect --model m.onnx` is `inspect m.onnx`. Old spellings still work, and are shown nowhere else.',
    ['| Flag | Means | Commands | Old spelling |', '| --- | --- | --- | --- |', ...lines].join('\n'),
  ];
  return `${parts.join('\n\n')}\n`;
}

const NOTE = "<!-- Written by `npm run docs` from the commands' own metadata; do not edit. -->";

const typed = ({ id }) => id.replaceAll(':', ' ');
const fileName = ({ id }) => `${id.replaceAll(':', '-')}.md`;

function page(command, bin) {
  const args = Object.values(command.args ?? {});
  const flags = Object.values(command.flags ?? {}).filter(({ hidden }) => !hidden);
  const fill = (text) =>
    text.replaceAll('<%= config.bin %>', bin).replaceAll('<%= command.id %>', typed(command)).trim();
  const parts = [`# ${bin} ${typed(command)}`, NOTE, escapeMarkup(fill(command.summary ?? ''))];
  if (command.description) parts.push(escapeMarkup(fill(command.description)));
  parts.push('## Usage', fence(`${bin} ${usage(command)}`));
  if (args.length > 0) {
    const rows = args.map(({ name, required, description = '' }) => [
      `\`${name}\``,
      required ? 'yes' : '',
      description,
    ]);
    parts.push('## Arguments', table(['Argument', 'Required', 'Meaning'], rows));
  }
  if (flags.length > 0) parts.push('## Flags', table(['Flag', 'Default', 'Meaning'], flags.map(flagRow)));
  const examples = (command.examples ?? []).map((one) => fill(typeof one === 'string' ? one : one.command));
  if (examples.length > 0) parts.push('## Examples', fence(examples.join('\n')));
  parts.push('[All commands](README.md)');
  return `${parts.join('\n\n')}\n`;
}

/** How a command is typed: what it needs by name, and the rest as [FLAGS]. (oclif's own line has empty alternatives in it.) */
export function usage(command) {
  const [args, flags] = [Object.values(command.args ?? {}), Object.values(command.flags ?? {})];
  const places = args.map(({ name, required, multiple }) => {
    const place = `${name.toUpperCase()}${multiple ? '...' : ''}`;
    return required ? place : `[${place}]`;
  });
  const isArgument = (name) => args.some((arg) => arg.name === name);
  const needed = flags.filter(({ name, required }) => required && !isArgument(name));
  const more = flags.length > needed.length ? ['[FLAGS]'] : [];
  return [typed(command), ...places, ...needed.map((flag) => `--${flag.name}${value(flag)}`), ...more].join(' ');
}

const value = ({ type, helpValue, options }) =>
  type === 'boolean' ? '' : ` ${helpValue ?? (options ? options.join('|') : 'VALUE')}`;

function flagRow(flag) {
  const { name, char, allowNo, multiple, required, default: given, exclusive, dependsOn } = flag;
  const spelled = `${char ? `-${char}, ` : ''}--${allowNo ? '[no-]' : ''}${name}${value(flag)}`;
  const notes = [
    flag.helpValue && flag.options ? `one of ${flag.options.join(', ')}` : '',
    multiple && !SAYS_SO.test(flag.description) ? 'may be given several times' : '',
    exclusive?.length ? `not with ${exclusive.map((one) => `--${one}`).join(', ')}` : '',
    dependsOn?.length ? `needs ${dependsOn.map((one) => `--${one}`).join(', ')}` : '',
  ].filter((note) => note !== '');
  const meaning = [flag.summary ?? flag.description ?? '', ...notes.map((note) => `(${note})`)].join(' ').trim();
  return [`\`${spelled}\``, required ? 'required' : shownDefault(given), meaning];
}

function shownDefault(given) {
  if (given === undefined || given === false || (Array.isArray(given) && given.length === 0)) return '';
  return `\`${typeof given === 'object' ? [given].flat().join(',') : given}\``;
}

/** A description that tells by itself that its flag may be repeated. */
const SAYS_SO = /several|once/;

const fence = (text) => `\`\`\`sh\n${text}\n\`\`\``;

/** What Markdown would take for markup outside code: descriptions are plain text, but for their backquotes. */
const escapeMarkup = (text) =>
  text
    .split(/(`[^`]*`)/)
    .map((part, i) => (i % 2 === 1 ? part : part.replace(/[<>*_[\]]/g, '\\$&')))
    .join('');

function table(headers, rows) {
  const line = (cells) => `| ${cells.join(' | ')} |`;
  const cell = (text) => {
    const plain = text.replaceAll('|', '\\|').replaceAll('\n', ' ');
    return plain.startsWith('`') || plain.startsWith('[`') ? plain : escapeMarkup(plain);
  };
  return [line(headers), line(headers.map(() => '---')), ...rows.map((row) => line(row.map(cell)))].join('\n');
}
