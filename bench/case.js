// What a bench measures, in one shape: a case is a task done by us and by peers, with the targets it is held to.

import { median } from './measure.js';

/**
 * A case as it is stored and shown.
 *
 * @param {string} name
 * @param ours and `peers`: results of `alternate`
 * @param targets - from `faster`, `atMost`, `atLeast`; none where a figure is only told
 * @param notes - sentences with further figures
 */
export function benchCase(name, ours, peers, { targets = [], notes = [] } = {}) {
  return {
    name,
    ours: shown(ours),
    peers: peers.map((peer) =>
      peer.absent ? { name: peer.name, absent: peer.absent } : { ...shown(peer), ratio: ratioOf(ours, peer) },
    ),
    targets,
    notes,
  };
}

const shown = ({ name, version, seconds, peakMiB, rounds }) => ({ name, version, seconds, peakMiB, rounds });

/** How many times as long the peer takes: the median over rounds, since the machine may be another one a minute later. */
export function ratioOf(ours, peer) {
  if (ours.absent || peer.absent) return null;
  const rounds = Math.min(ours.rounds.length, peer.rounds.length);
  return median(Array.from({ length: rounds }, (_, i) => peer.rounds[i] / ours.rounds[i]));
}

/** "at least N times as fast as PEER" */
export const faster = (ours, peer, times) =>
  atLeast(`at least ${times} times as fast as ${peer.name}`, ratioOf(ours, peer), times, 'x');

/** @param value - null where it could not be measured, which is neither met nor missed */
export const atLeast = (text, value, bound, unit = '') => target(text, value, unit, (given) => given >= bound);

export const atMost = (text, value, bound, unit = '') => target(text, value, unit, (given) => given <= bound);

function target(text, value, unit, holds) {
  const known = value !== null && value !== undefined && Number.isFinite(value);
  return { text, value: known ? value : null, unit, met: known ? holds(value) : null };
}

/** Peak memory as a share of a peer's; null where either is unknown. */
export const memoryShare = (ours, peer) =>
  ours.peakMiB == null || peer.peakMiB == null ? null : ours.peakMiB / peer.peakMiB;
