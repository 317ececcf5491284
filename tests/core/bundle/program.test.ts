import { describe, expect, it } from 'vitest';
import { readProgram } from '../../../src/core/bundle/program.js';

describe('readProgram', () => {
  const { files, packages, licenses } = readProgram();
  const pathsOf = (name: string) => files.filter(({ path }) => path.includes(`/node_modules/${name}/`));

  it('has the scripts, the name and the terms of a package that is imported', () => {
    expect(packages).toContainEqual(expect.objectContaining({ name: 'yaml', license: 'ISC' }));
    expect(pathsOf('yaml').length).toBeGreaterThan(10);
    expect(licenses.map(({ path }) => path)).toContain('LICENSES/yaml/LICENSE');
  });

  it('has the name and the terms of a package that the build put into a file, and its scripts no second time', () => {
    expect(packages).toContainEqual(expect.objectContaining({ name: 'zod', license: 'MIT' }));
    expect(pathsOf('zod').map(({ path }) => path)).toEqual(['lib/app/node_modules/zod/package.json']);
    expect(licenses.map(({ path }) => path)).toContain('LICENSES/zod/LICENSE');
  });
});
