// Writes the JSON Schema of every report from its type in src/lifecycle.ts, as the compiler resolves it, to schemas/reports/.
// The compiler's interface comes with TypeScript 6, which is fetched for it: npm run schemas. A test holds outputs to them.
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { delimiter, dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { REPORTS } from '../dist/core/documents/reports.js';

const root = fileURLToPath(new URL('..', import.meta.url));
// npx puts what it fetches on the PATH only.
const fetched = process.env.PATH.split(delimiter).find((folder) => folder.includes('_npx'));
const ts = createRequire(fetched ? join(dirname(fetched), 'x.js') : import.meta.url)('typescript');

const entry = join(root, 'src/lifecycle.ts');
const { config } = ts.readConfigFile(join(root, 'tsconfig.json'), (path) => readFileSync(path, 'utf8'));
const { options } = ts.parseJsonConfigFileContent(config, ts.sys, root);
const program = ts.createProgram([entry], options);
const checker = program.getTypeChecker();
const exported = new Map(
  checker.getExportsOfModule(checker.getSymbolAtLocation(program.getSourceFile(entry))).map((one) => [one.name, one]),
);

/** Types on the way down: one that holds itself, as JSON does, is any JSON. */
const open = new Set();

function schemaOf(type) {
  if (type.flags & (ts.TypeFlags.Any | ts.TypeFlags.Unknown)) return {};
  if (type.flags & ts.TypeFlags.Null) return { type: 'null' };
  if (type.isStringLiteral() || type.isNumberLiteral()) return { const: type.value };
  if (type.flags & ts.TypeFlags.BooleanLiteral) return { const: checker.typeToString(type) === 'true' };
  if (type.flags & (ts.TypeFlags.String | ts.TypeFlags.TemplateLiteral)) return { type: 'string' };
  if (type.flags & ts.TypeFlags.Number) return { type: 'number' };
  if (type.isUnion()) return unionOf(type.types);
  if (open.has(type)) return {};
  open.add(type);
  try {
    if (checker.isTupleType(type)) {
      const items = checker.getTypeArguments(type).map(schemaOf);
      return { type: 'array', prefixItems: items, minItems: items.length, maxItems: items.length };
    }
    if (checker.isArrayType(type)) return { type: 'array', items: schemaOf(checker.getTypeArguments(type)[0]) };
    return objectOf(type);
  } finally {
    open.delete(type);
  }
}

function unionOf(types) {
  const parts = types.filter(({ flags }) => !(flags & ts.TypeFlags.Undefined));
  const words = parts.filter((part) => part.isStringLiteral()).map(({ value }) => value);
  const booleans = parts.filter(({ flags }) => flags & ts.TypeFlags.BooleanLiteral);
  const rest = parts.filter((part) => !part.isStringLiteral() && !booleans.includes(part)).map(schemaOf);
  const all = [
    ...(words.length > 0 ? [{ enum: words.sort() }] : []),
    ...(booleans.length === 2 ? [{ type: 'boolean' }] : booleans.map(schemaOf)),
    ...rest,
  ];
  return all.length === 1 ? all[0] : { anyOf: all };
}

function objectOf(type) {
  const properties = {};
  const required = [];
  for (const property of checker.getPropertiesOfType(type)) {
    const of = checker.getTypeOfSymbol(property);
    const described = ts.displayPartsToString(property.getDocumentationComment(checker));
    properties[property.name] = { ...(described && { description: described }), ...schemaOf(of) };
    const mayLack =
      property.flags & ts.SymbolFlags.Optional ||
      (of.isUnion() && of.types.some(({ flags }) => flags & ts.TypeFlags.Undefined));
    if (!mayLack) required.push(property.name);
  }
  const index = checker.getIndexInfoOfType(type, ts.IndexKind.String);
  return {
    type: 'object',
    ...(Object.keys(properties).length > 0 && { properties }),
    ...(required.length > 0 && { required }),
    additionalProperties: index ? schemaOf(index.type) : false,
  };
}

/** With the id of the schema, which stands first in every report. */
function marked(schema, id) {
  if (schema.anyOf) return { anyOf: schema.anyOf.map((part) => marked(part, id)) };
  const { properties = {}, required = [], ...rest } = schema;
  return {
    ...rest,
    properties: { schema: { const: id }, ...properties },
    required: ['schema', ...required.filter((name) => name !== 'schema')],
  };
}

mkdirSync(join(root, 'schemas/reports'), { recursive: true });
for (const [name, type] of Object.entries(REPORTS)) {
  const id = `hpsv3/${name}@1`;
  const symbol = exported.get(type);
  const target = symbol.flags & ts.SymbolFlags.Alias ? checker.getAliasedSymbol(symbol) : symbol;
  const schema = marked(schemaOf(checker.getDeclaredTypeOfSymbol(target)), id);
  const document = { $schema: 'https://json-schema.org/draft/2020-12/schema', $id: id, ...schema };
  writeFileSync(join(root, `schemas/reports/${name}.schema.json`), `${JSON.stringify(document, null, 2)}\n`);
}
