import { beta } from './beta.js';
import { isotonic } from './isotonic.js';
import type { CalibrationMethod } from './method.js';
import { none } from './none.js';
import { platt } from './platt.js';
import { temperature } from './temperature.js';

/** From the simplest to the most flexible; where two have as many parameters, the earlier is the simpler. */
export const CALIBRATION_METHODS: readonly CalibrationMethod[] = [none, temperature, platt, beta, isotonic];
