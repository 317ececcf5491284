/** One tab at a time: the later one only looks on, until it is asked to take over. */

const NAME = 'hpsv3-label';

export interface TabLock {
  /** Takes the work over from another tab. */
  take(): void;
}

/** @param onChange - told whether this tab may vote, first soon after the call, and whenever that changes */
export function lockTab(onChange: (mayWork: boolean) => void): TabLock {
  return navigator.locks ? webLock(onChange) : channelLock(onChange);
}

function webLock(onChange: (mayWork: boolean) => void): TabLock {
  const hold = (options: LockOptions): void => {
    let granted = false;
    navigator.locks
      .request(NAME, options, (lock) => {
        granted = lock !== null;
        onChange(granted);
        return granted ? new Promise<never>(() => undefined) : undefined;
      })
      .catch(() => onChange(false)); // another tab has taken it
  };
  hold({ ifAvailable: true });
  return { take: () => hold({ steal: true }) };
}

/** Where there are no locks (plain HTTP on another machine): tabs tell each other. */
function channelLock(onChange: (mayWork: boolean) => void): TabLock {
  const channel = new BroadcastChannel(NAME);
  let holds = false;
  const claim = (): void => {
    holds = true;
    onChange(true);
  };
  channel.onmessage = ({ data }) => {
    if (data === 'who' && holds) channel.postMessage('me');
    if (data === 'me' && !holds) window.clearTimeout(timer);
    if (data === 'me' && !holds) onChange(false);
    if (data === 'mine') {
      holds = false;
      onChange(false);
    }
  };
  channel.postMessage('who');
  const timer = window.setTimeout(claim, 300);
  return {
    take: () => {
      channel.postMessage('mine');
      claim();
    },
  };
}
