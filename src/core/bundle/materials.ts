import { sha256Hex } from '../bytes/hash.js';
import type { JsonObject } from '../bytes/json.js';
import { licenseOf } from '../card/cyclonedx.js';
import { TOOL, VERSION } from '../version.js';
import type { Bundle } from './bundle-file.js';
import type { ScriptPackage } from './program.js';
import type { LockedPackage } from './runtimes-lock.js';
import { tarballName } from './runtimes-lock.js';
import type { Target } from './targets.js';

export const BOM_FILE = 'sbom.cdx.json';
export const PROVENANCE_FILE = 'provenance.json';

const REGISTRY = 'https://registry.npmjs.org';

const purl = (name: string, version: string): string => `pkg:npm/${name.replace('@', '%40')}@${version}`;

/**
 * The bill of materials of a release, CycloneDX 1.6: the model with its card as the card's own bill has it, and beside it every native
 * library with its hash and licence, and every package of JavaScript.
 *
 * @param cardBom - the bill of the card, `card/cyclonedx.json`
 */
export function bomText(cardBom: JsonObject, bundle: Bundle, packages: readonly ScriptPackage[]): string {
  const { metadata, components: bound } = cardBom as unknown as {
    metadata: { component: JsonObject };
    components: JsonObject[];
  };
  const model = metadata.component;
  const natives = bundle.natives.map((part) => ({
    type: 'library',
    'bom-ref': `file:${part.file}`,
    name: part.file.slice(part.file.lastIndexOf('/') + 1),
    version: part.version,
    description: `Native part of ${part.package}, ${part.file}`,
    hashes: [{ alg: 'SHA-256', content: part.sha256 }],
    licenses: licensesOf(part.license),
    purl: purl(part.package, part.version),
    ...(part.vendorSha256 === null
      ? {}
      : {
          pedigree: {
            ancestors: [
              {
                type: 'library',
                name: part.file.slice(part.file.lastIndexOf('/') + 1),
                version: part.version,
                hashes: [{ alg: 'SHA-256', content: part.vendorSha256 }],
              },
            ],
            notes:
              'Symbols for debuggers and the table of sections were taken out, and of Node the names of functions that no library here asks for; no code was changed.',
          },
        }),
  }));
  const weights = bundle.models.flatMap(({ file, sha256, externalData }) =>
    [{ file, sha256 }, ...externalData].map((one) => ({
      type: 'file',
      'bom-ref': `file:${one.file}`,
      name: one.file,
      hashes: [{ alg: 'SHA-256', content: one.sha256 }],
    })),
  );
  const scripts = packages.map(({ name, version, license, path }) => ({
    type: 'library',
    'bom-ref': `npm:${path}`,
    name,
    version,
    licenses: licensesOf(license),
    purl: purl(name, version),
  }));
  const components = [model, ...weights, ...natives, ...scripts, ...bound];
  const release = {
    type: 'application',
    'bom-ref': 'release',
    name: 'hpsv3_release',
    version: VERSION,
    description: `Release for ${bundle.target}`,
  };
  const bom = {
    $schema: 'http://cyclonedx.org/schema/bom-1.6.schema.json',
    bomFormat: 'CycloneDX',
    specVersion: '1.6',
    serialNumber: serialOf(bundle),
    version: 1,
    metadata: { tools: { components: [{ type: 'application', name: 'hpsv3', version: VERSION }] }, component: release },
    components,
    dependencies: [
      { ref: 'release', dependsOn: components.map((one) => String((one as JsonObject)['bom-ref'])) },
      { ref: 'model', dependsOn: bound.map((one) => String(one['bom-ref'])) },
    ],
  };
  return `${JSON.stringify(bom, null, 2)}\n`;
}

/** A licence as CycloneDX has it: an identifier, or an expression of several. */
const licensesOf = (license: string): object[] =>
  / (?:AND|OR|WITH) /.test(license) ? [{ expression: license }] : [licenseOf(license)];

/** A UUID of version 8 (RFC 9562), the same whenever the release is. */
function serialOf(bundle: Bundle): string {
  const hex = sha256Hex(Buffer.from(JSON.stringify(bundle)));
  return `urn:uuid:${hex.slice(0, 8)}-${hex.slice(8, 12)}-8${hex.slice(13, 16)}-8${hex.slice(17, 20)}-${hex.slice(20, 32)}`;
}

/**
 * What a release was made from: an in-toto statement with SLSA provenance 1.0. It is a record and no proof: whoever can change the archive
 * can change it, unless the release is signed.
 */
export function provenanceText(
  bundle: Bundle,
  target: Target,
  made: { readonly locked: readonly LockedPackage[]; readonly mtime: number; readonly options: JsonObject },
): string {
  const file = (name: string, sha256: string) => ({ name, digest: { sha256 } });
  const statement = {
    _type: 'https://in-toto.io/Statement/v1',
    subject: bundle.models.flatMap((model) =>
      [{ file: model.file, sha256: model.sha256 }, ...model.externalData].map((one) => file(one.file, one.sha256)),
    ),
    predicateType: 'https://slsa.dev/provenance/v1',
    predicate: {
      buildDefinition: {
        buildType: 'https://github.com/jacob44444/HPSv3/release@v1',
        externalParameters: { target: target.id, ...made.options },
        internalParameters: { sourceDateEpoch: made.mtime },
        resolvedDependencies: [
          ...made.locked.map((locked) => ({
            uri: `${REGISTRY}/${locked.name}/-/${tarballName(locked).replace(/^img-/, '')}`,
            name: `${locked.name}@${locked.version}`,
            digest: { sha512: Buffer.from(locked.integrity.slice('sha512-'.length), 'base64').toString('hex') },
          })),
          ...bundle.natives
            .filter((part) => !made.locked.some(({ name }) => name === part.package))
            .map((part) => ({
              uri: purl(part.package, part.version),
              name: part.file,
              digest: { sha256: part.vendorSha256 ?? part.sha256 },
            })),
        ],
      },
      runDetails: {
        builder: { id: 'https://github.com/jacob44444/HPSv3/release@local', version: { hpsv3: TOOL } },
        metadata: {},
      },
    },
  };
  return `${JSON.stringify(statement, null, 2)}\n`;
}
