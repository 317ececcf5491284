import * as Flags from '@oclif/core/flags';
import type { Tls } from '../serving/http.js';

/** Flags of the commands that listen. */
export const listenFlags = {
  host: Flags.string({ default: '127.0.0.1', description: 'Address to listen on' }),
  'tls-cert': Flags.string({
    aliases: ['cert'],
    helpValue: 'FILE.pem',
    description: 'Certificate: HTTPS instead of HTTP',
    dependsOn: ['tls-key'],
  }),
  'tls-key': Flags.string({
    aliases: ['key'],
    helpValue: 'FILE.pem',
    description: 'Key of the certificate',
    dependsOn: ['tls-cert'],
  }),
};

/** Paths of certificate and key; undefined without them. */
export function tlsOf(flags: { readonly 'tls-cert'?: string; readonly 'tls-key'?: string }): Tls | undefined {
  const { 'tls-cert': cert, 'tls-key': key } = flags;
  return cert !== undefined && key !== undefined ? { cert, key } : undefined;
}

/** Of the labeller. */
export const LABEL_PORT = 8090;

export const portFlag = (port: number) =>
  Flags.integer({ default: port, min: 0, max: 65_535, description: 'Port to listen on; 0 takes a free one' });
