import * as Flags from '@oclif/core/flags';
import type { RemoteFileOptions } from '../hub/with-addresses.js';

/** Flags of commands whose files may lie on other machines. */
export const allowHostFlag = Flags.string({
  multiple: true,
  multipleNonGreedy: true,
  helpValue: 'HOST',
  description:
    'Host that an address or a redirect may lead to though its own is private, or not https; can be given several times',
});

export const hubCacheFlag = Flags.boolean({
  description:
    'Fetch files of the Hub whole, into the cache of huggingface_hub (HF_HOME), and read them there from now on',
});

/** How files on other machines are reached, by the flags. */
export const remoteFilesOf = (flags: {
  readonly 'allow-host'?: readonly string[];
  readonly 'hub-cache'?: boolean;
}): RemoteFileOptions => ({
  hosts: flags['allow-host'],
  hubCache: flags['hub-cache'],
});
