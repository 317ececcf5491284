import { arenaAnswers, chatbotArena, genaiBench } from './arenas.js';
import { chosenRejected, rewardBench2 } from './chosen-rejected.js';
import { hpdV2, hpdV3 } from './hpd.js';
import { argilla, labelStudio } from './labelling-tools.js';
import type { Layout } from './layout.js';
import { pickAPic } from './pick-a-pic.js';
import { imageRewardRanking, imageRewardRatings } from './rankings.js';
import { mos, tifa, videoScore } from './ratings.js';

/** Every layout that is read beside our own. No two may fit one record; where they do, the caller is asked. */
export const LAYOUTS: readonly Layout[] = [
  chosenRejected,
  rewardBench2,
  hpdV2,
  hpdV3,
  pickAPic,
  imageRewardRanking,
  imageRewardRatings,
  genaiBench,
  videoScore,
  chatbotArena,
  arenaAnswers,
  labelStudio,
  argilla,
  mos,
  tifa,
];

export const LAYOUT_IDS = LAYOUTS.map(({ id }) => id);
