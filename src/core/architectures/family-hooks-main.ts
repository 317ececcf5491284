// Hooks of Node's module loader, in a thread of their own (see family-file.ts): a family beside which hpsv3 is not installed finds
// it here, in the package that imports the family.
import type { InitializeHook, ResolveHook } from 'node:module';

let ours = '';

export const initialize: InitializeHook<string> = (url) => {
  ours = url;
};

export const resolve: ResolveHook = async (specifier, context, next) => {
  try {
    return await next(specifier, context);
  } catch (error) {
    if (!/^hpsv3(\/|$)/.test(specifier)) throw error;
    return next(specifier, { ...context, parentURL: ours }); // a package may import itself by its name
  }
};
