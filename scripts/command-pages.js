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
    'Every command takes `--help`, and `--json` for one document on standard output.',
  ];
  return pages.set('README.md', `${index.join('\n\n')}\n`);
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
  parts.push('## Usage', fence(usage(command, args, flags, bin)));
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

function usage(command, args, flags, bin) {
  const needed = flags.filter(({ required }) => required).map((flag) => `--${flag.name}${value(flag)}`);
  const more = flags.some(({ required }) => !required) ? ['[FLAGS]'] : [];
  const places = args.map(({ name, required }) => (required ? name.toUpperCase() : `[${name.toUpperCase()}]`));
  return [bin, typed(command), ...places, ...needed, ...more].join(' ');
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
