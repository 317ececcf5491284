/** Groups of words that can stand for each other in most sentences, in the same form and part of speech. */
const GROUPS = `
old aged, small little, bright shining, quiet calm, heavy weighty, beautiful lovely pretty, strange odd unusual, cheap inexpensive
happy glad cheerful, cold chilly, large big, difficult hard, famous well-known, gentle mild, tired weary, careful cautious, simple plain
carried brought, repaired fixed mended, noticed saw spotted, bought purchased, found discovered, cleaned washed, described explained
moved shifted, wanted desired, lost misplaced, showed displayed, built made constructed, kept held, needed required, opened unlocked
waited lingered, laughed chuckled, slept dozed, worked toiled laboured, arrived came, stayed remained, rested relaxed, began started, walked strolled
slowly unhurriedly, quickly fast rapidly, carefully cautiously, often frequently, quietly silently softly, finally eventually, suddenly abruptly
happily gladly cheerfully, almost nearly, because since, while whilst, although though
teacher tutor, sailor seaman, painter artist, student pupil, doctor physician, musician player, traveller voyager, writer author, carpenter joiner, child kid
farmer grower, driver motorist, letter note, lantern lamp, bicycle bike, picture image, boat ship, blanket cover, kettle pot, newspaper paper
suitcase bag, cake pastry, garden yard, bottle flask, market bazaar, harbour port, station stop, village hamlet, valley dale, meadow field
workshop studio, forest wood, hospital clinic, square plaza, beach shore, dinner supper, evening dusk, rain shower, many numerous
good fine, bad poor, important significant, new recent, help assist, buy purchase, begin start, end finish, show display, big large
answer reply, ask inquire, people persons, house home, road street, car automobile, job task, quick fast, easy simple, correct right, wrong incorrect
very extremely, also too, but yet, maybe perhaps, about roughly, enough sufficient, get obtain, need require, use employ, think believe
`;

const SYNONYMS: ReadonlyMap<string, readonly string[]> = buildTable(GROUPS);

function buildTable(groups: string): Map<string, string[]> {
  const table = new Map<string, string[]>();
  for (const group of groups.trim().split(/,|\n/)) {
    const words = group.trim().split(' ');
    for (const word of words) {
      const others = words.filter((other) => other !== word);
      table.set(word, [...(table.get(word) ?? []), ...others]);
    }
  }
  return table;
}

/** Words that can stand for `word` (lower case); none where the table does not have it. */
export const synonymsOf = (word: string): readonly string[] => SYNONYMS.get(word) ?? [];
