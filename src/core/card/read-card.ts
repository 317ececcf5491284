import { existsSync } from 'node:fs';
import { basename, join, resolve } from 'node:path';
import { readDocument } from '../documents/define.js';
import { HpsError } from '../errors.js';
import { type CardFacts, cardDocument } from './card-facts.js';

/** The file that tells a card's folder from others. */
export const CARD_FILE = 'card.json';

/** The folder itself, or its `card`. @throws HpsError FILE_NOT_FOUND */
export function cardFolder(folder: string): string {
  const found = [folder, join(folder, 'card')].find((one) => existsSync(join(one, CARD_FILE)));
  if (found !== undefined) return found;
  const name = basename(resolve(folder));
  throw new HpsError('FILE_NOT_FOUND', `${name}: ${existsSync(folder) ? `no ${CARD_FILE} in it` : 'no such folder'}`, {
    hint: 'Give the folder that `hpsv3 modelcard` wrote.',
    details: { file: CARD_FILE },
  });
}

/** Reads the facts of a card. @throws HpsError CONFIG_INVALID for a document that breaks the schema; MADE_BY_NEWER */
export const readCardFacts = (folder: string): CardFacts =>
  readDocument(cardDocument, join(folder, CARD_FILE)).document;
