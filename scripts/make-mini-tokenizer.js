// Writes configs/hpsv3_mini.tokenizer.json: a WordPiece vocabulary of common English words, the words that `hpsv3 synth`
// writes its sentences with, and short pieces that any other word is spelled in; and configs/hpsv3_mini_image_text.tokenizer.json, the same
// with the words of its captions, which would be spelled else. Run `npm run build` first.
import { writeFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { Random } from '../dist/core/bytes/random.js';
import { imageTextModality } from '../dist/core/synthesis/image-text.js';
import { drawSentences } from '../dist/core/synthesis/text/sentences.js';
import { synonymsOf } from '../dist/core/synthesis/text/synonyms.js';

const outOf = (name) => fileURLToPath(new URL(`../configs/${name}.tokenizer.json`, import.meta.url));
const SPECIAL = ['[PAD]', '[UNK]', '[CLS]', '[SEP]', '[MASK]'];
const VOCABULARY = 2048;
const SENTENCES = 2000;
const CAPTIONS = 500;

/** What most English text is made of. */
const COMMON = `
the be to of and a in that have it for not on with he as you do at this but his by from they we say her she or an will my one all would
there their what so up out if about who get which go me when make can like time no just him know take people into year your good some
could them see other than then now look only come its over think also back after use two how our work first well way even new want
because any these give day most us is are was were been has had did does said got went made came took saw knew thought gave told asked
felt left found kept began seemed helped showed heard let put set ran read sat stood lost paid met led grew sent built sold fell cut
man woman child boy girl friend family mother father person world life hand part place case week company system program question
government number night point home water room area money story fact month lot right study book eye job word business issue side kind
head house service power hour game line end member law car city community name president team minute idea body information nothing
ago lead face others level office door health art war history party result change morning reason research moment air teacher force
education long great little own old big high different small large next early young important few public bad same able best better
sure free true real full easy hard clear open whole late black white red blue green strong possible special certain personal main
very too much more many never always often here again still however almost yes please sorry thank thanks hello ok okay maybe perhaps
really actually probably usually sometimes already yet soon today tomorrow yesterday ever away down off through between under before
while since until during without against around another such both each every those why where whether though although must may might
should shall need try ask seem feel become leave call keep begin help show hear play run move live believe bring happen write
provide sit stand lose pay meet include continue learn lead understand watch follow stop create speak allow add spend grow open
walk win offer remember love consider appear buy wait serve die send expect build stay fall reach kill remain suggest raise pass sell
require report decide pull human assistant answer example something someone anything anyone everything everyone things thing using
used being having doing going making getting don doesn didn isn wasn won can't don't it's i'm you're that's i've ll ve re
not no'ne harmful safe illegal dangerous drug drugs gun police steal hurt pain sex race religion country american english language
computer internet website phone email account password food eat drink cook recipe sugar oil chicken doctor medical advice legal
school student children parents kids wife husband dog cat animal plant tree garden music movie song video picture image photo
color light sound voice paper letter list step steps way ways type types form order process method reasons examples
north south east west street road town state states united america china europe africa river sea sun moon earth fire
january february march april june july august september october november december monday tuesday wednesday thursday friday saturday
sunday one two three four five six seven eight nine ten hundred thousand million first second third half
happy sad angry afraid alone tired sick dead alive nice kind mean rude stupid smart beautiful ugly rich poor cheap expensive
interesting boring funny serious wrong correct simple difficult quick slow hot cold warm wet dry dark bright quiet loud clean dirty
`;
const SUFFIXES =
  's es ed ing er ers est ly y al ial ic ical ion ions tion tions ation sion ment ments ness less ful ous ious able ible ive ity ist ism ize ise age ance ence ant ent ary ory ure ate en ish ship ward wise'.split(
    ' ',
  );
const LETTERS = [...'abcdefghijklmnopqrstuvwxyz'];
const SIGNS = [...'0123456789.,;:!?\'"-()[]/&%$#@*+=<>_~^`|\\{}'];

/** Words of the grammar, in the order in which they are first drawn, and what may stand for them. */
function grammarWords() {
  const random = new Random('mini-tokenizer');
  const words = new Set();
  for (let i = 0; i < SENTENCES; i++) {
    for (const [word] of drawSentences(random)
      .toLowerCase()
      .matchAll(/[a-z]+/g)) {
      words.add(word);
      for (const synonym of synonymsOf(word)) for (const part of synonym.split('-')) words.add(part);
    }
  }
  return [...words];
}

/** Pairs and triples of letters inside words, the most frequent first. */
function innerPieces(words) {
  const counts = new Map();
  for (const word of words) {
    for (let at = 1; at < word.length; at++) {
      for (const length of [2, 3]) {
        if (at + length > word.length) continue;
        const piece = word.slice(at, at + length);
        counts.set(piece, (counts.get(piece) ?? 0) + 1);
      }
    }
  }
  return [...counts].sort(([a, n], [b, m]) => m - n || (a < b ? -1 : 1)).map(([piece]) => piece);
}

const common = COMMON.split(/\s+/).filter((word) => /^[a-z]{2,}$/.test(word));
const words = [...new Set([...grammarWords(), ...common])].filter((word) => word.length > 1);
const tokens = new Set([...SPECIAL, ...LETTERS, ...SIGNS, ...words]);
for (const letter of [...LETTERS, ...'0123456789']) tokens.add(`##${letter}`);
for (const suffix of SUFFIXES) tokens.add(`##${suffix}`);
for (const piece of innerPieces(words)) if (tokens.size < VOCABULARY) tokens.add(`##${piece}`);
if (tokens.size !== VOCABULARY) throw new Error(`${tokens.size} tokens for a vocabulary of ${VOCABULARY}`);

/** Words of captions, in the order in which they are first drawn. */
async function captionWords() {
  const random = new Random('mini-tokenizer captions');
  const modality = imageTextModality(8);
  const words = new Set();
  for (let i = 0; i < CAPTIONS; i++) {
    const { text } = await modality.store(modality.draw(random));
    for (const word of text.split(' ')) words.add(word);
  }
  return words;
}

function write(out, tokens) {
  const vocab = Object.fromEntries([...tokens].map((token, id) => [token, id]));
  const special = (content) => ({ id: content, ids: [vocab[content]], tokens: [content] });
  const template = (id) => ({ SpecialToken: { id, type_id: 0 } });
  const tokenizer = {
    version: '1.0',
    truncation: null,
    padding: null,
    added_tokens: SPECIAL.map((content) => ({
      id: vocab[content],
      content,
      single_word: false,
      lstrip: false,
      rstrip: false,
      normalized: false,
      special: true,
    })),
    normalizer: {
      type: 'BertNormalizer',
      clean_text: true,
      handle_chinese_chars: true,
      strip_accents: null,
      lowercase: true,
    },
    pre_tokenizer: { type: 'BertPreTokenizer' },
    post_processor: {
      type: 'TemplateProcessing',
      single: [template('[CLS]'), { Sequence: { id: 'A', type_id: 0 } }, template('[SEP]')],
      pair: [
        template('[CLS]'),
        { Sequence: { id: 'A', type_id: 0 } },
        template('[SEP]'),
        { Sequence: { id: 'B', type_id: 1 } },
        { SpecialToken: { id: '[SEP]', type_id: 1 } },
      ],
      special_tokens: { '[CLS]': special('[CLS]'), '[SEP]': special('[SEP]') },
    },
    decoder: { type: 'WordPiece', prefix: '##', cleanup: true },
    model: {
      type: 'WordPiece',
      unk_token: '[UNK]',
      continuing_subword_prefix: '##',
      max_input_chars_per_word: 100,
      vocab,
    },
  };
  writeFileSync(out, `${JSON.stringify(tokenizer, null, 2)}\n`);
  console.log(`${out}: ${tokens.size} tokens`);
}

write(outOf('hpsv3_mini'), tokens);
write(outOf('hpsv3_mini_image_text'), new Set([...tokens, ...(await captionWords())]));
