import { VERSION } from '../version.js';
import * as z from '../zod.js';
import type { Dialect, Route } from './dialect.js';

interface Operation {
  readonly tags: readonly string[];
  readonly summary: string;
  readonly [field: string]: unknown;
}

/** OpenAPI 3.1 of the routes of these dialects, their bodies from the schemas that read them. */
export function openApi(dialects: readonly Dialect[]) {
  const places = new Map<string, { route: Route; dialect: Dialect }[]>();
  for (const dialect of dialects) {
    for (const route of dialect.routes) {
      const key = `${route.url} ${route.method}`;
      places.set(key, [...(places.get(key) ?? []), { route, dialect }]);
    }
  }
  const components: Record<string, object> = {};
  const paths: Record<string, Record<string, Operation>> = {};
  for (const [key, sharing] of places) {
    const [url, method] = key.split(' ');
    const path = url.replace(/:(\w+)/g, '{$1}').replace(/\*$/, '{path}');
    paths[path] = { ...paths[path], [method.toLowerCase()]: operation(path, sharing, components) };
  }
  return {
    openapi: '3.1.0',
    info: { title: 'hpsv3', version: VERSION, description: 'Human-preference scores over HTTP.' },
    tags: dialects.map(({ id, title }) => ({ name: id, description: title })),
    paths,
    components: { schemas: components, securitySchemes: { token: { type: 'http', scheme: 'bearer' } } },
  };
}

function operation(
  path: string,
  sharing: readonly { route: Route; dialect: Dialect }[],
  components: Record<string, object>,
): Operation {
  const routes = sharing.map(({ route }) => route);
  const [{ scope, method }] = routes;
  const bodies = routes.flatMap(({ body }) => (body ? [jsonSchema(body, 'input', components)] : []));
  const answers = routes.flatMap(({ answer }) => (answer ? [jsonSchema(answer, 'output', components)] : []));
  const parameters = Array.from(path.matchAll(/\{(\w+)\}/g), ([, name]) => ({
    name,
    in: 'path',
    required: true,
    schema: { type: 'string' },
  }));
  const json = (schemas: readonly object[]) => ({
    'application/json': { schema: schemas.length > 1 ? { anyOf: schemas } : schemas[0] },
  });
  return {
    tags: [...new Set(sharing.map(({ dialect }) => dialect.id))],
    summary: routes.map(({ summary }) => summary).join(' Or: '),
    ...(scope === null ? { security: [] } : { security: [{ token: [] }], description: `Scope: ${scope}.` }),
    ...(parameters.length > 0 ? { parameters } : {}),
    ...(bodies.length > 0 ? { requestBody: { required: true, content: json(bodies) } } : {}),
    ...(method === 'POST' && bodies.length === 0
      ? { requestBody: { content: { 'application/octet-stream': { schema: {} } } } }
      : {}),
    responses: {
      200: { description: 'The answer.', ...(answers.length > 0 ? { content: json(answers) } : {}) },
      default: { description: 'What went wrong, in the form of this route.' },
    },
  };
}

/** A schema as JSON Schema; those with an id go to `components` and are referred to. */
function jsonSchema(schema: z.ZodType, io: 'input' | 'output', components: Record<string, object>): object {
  const {
    $schema: _,
    $defs = {},
    ...rest
  } = z.toJSONSchema(schema, { io, unrepresentable: 'any' }) as Record<string, unknown>;
  const moved = (value: unknown): unknown =>
    JSON.parse(JSON.stringify(value).replaceAll('#/$defs/', '#/components/schemas/'));
  for (const [name, definition] of Object.entries($defs as object)) components[name] = moved(definition) as object;
  return moved(rest) as object;
}

/** The description as a page that loads nothing from anywhere. */
export function descriptionPage(description: object): string {
  const { info, paths } = description as ReturnType<typeof openApi>;
  const rows = Object.entries(paths).flatMap(([path, methods]) =>
    Object.entries(methods).map(
      ([method, { tags, summary }]) =>
        `<tr><td><code>${method.toUpperCase()} ${escaped(path)}</code></td><td>${escaped(tags.join(', '))}</td><td>${escaped(summary)}</td></tr>`,
    ),
  );
  return `<!doctype html><html lang="en"><meta charset="utf-8"><title>hpsv3 ${escaped(info.version)}</title>
<style>body{font:16px/1.5 system-ui;margin:2rem auto;max-width:70rem;padding:0 1rem}td,th{text-align:left;padding:.3rem .8rem .3rem 0;vertical-align:top}code{font-size:.9em}</style>
<h1>hpsv3 ${escaped(info.version)}</h1><p>The same for programs, with the schemas of all bodies: <a href="/openapi.json">/openapi.json</a>.</p>
<table><thead><tr><th>Route</th><th>Dialect</th><th>What it does</th></tr></thead><tbody>${rows.join('')}</tbody></table></html>`;
}

const escaped = (text: string): string => text.replace(/[&<>"]/g, (sign) => `&#${sign.charCodeAt(0)};`);
