import { render } from 'preact';
import { useCallback, useEffect, useRef, useState } from 'preact/hooks';
import { type AdminFigures, adminBackend, httpBackend, type RaterFigures, takeToken } from './backend.js';

const POLL_MS = 5000;

function Admin() {
  const [figures, setFigures] = useState<AdminFigures | null>(null);
  const [failure, setFailure] = useState<string | null>(null);
  const [link, setLink] = useState<string | null>(null);
  const token = useRef(takeToken());
  const load = useCallback(async () => {
    try {
      if (token.current) await httpBackend.join(token.current, null);
      token.current = null;
      setFigures(await adminBackend.figures());
      setFailure(null);
    } catch (error) {
      setFailure((error as Error).message);
    }
  }, []);
  useEffect(() => {
    void load();
    const timer = setInterval(() => {
      if (document.visibilityState === 'visible') void load();
    }, POLL_MS);
    return () => clearInterval(timer);
  }, []);
  return (
    <main class="admin">
      <h1>Labelling: progress</h1>
      <p role="status" class="failure">
        {failure && `${failure}.`}
      </p>
      {figures && (
        <Figures
          figures={figures}
          resume={(rater) => void adminBackend.resume(rater).then(load, (error) => setFailure(error.message))}
        />
      )}
      {figures?.canInvite && (
        <p>
          <button
            type="button"
            onClick={() =>
              void adminBackend.invite().then(
                (made) => setLink(`${location.origin}/#join=${made}`),
                (error) => setFailure(error.message),
              )
            }
          >
            Invite a rater
          </button>{' '}
          {link && (
            <>
              For one person, once: <code class="link">{link}</code>
            </>
          )}
        </p>
      )}
      {figures && (
        <section aria-labelledby="files">
          <h2 id="files">What was collected so far</h2>
          <ul>
            {figures.files.map((name) => (
              <li key={name}>
                <a href={`/admin/files/${name}`} download={name}>
                  {name}
                </a>
              </li>
            ))}
          </ul>
        </section>
      )}
    </main>
  );
}

function Figures({ figures, resume }: { figures: AdminFigures; resume: (rater: string) => void }) {
  const { pairs, done, withdrawn, votes, due, alpha, byGroup, raters } = figures;
  return (
    <>
      <dl class="figures">
        <Figure name="Pairs done" value={`${done} of ${pairs}`} />
        <Figure name="Votes" value={`${votes}, ${due} due`} />
        <Figure name="Withdrawn pairs" value={String(withdrawn)} />
        <Figure
          name="Krippendorff's alpha"
          value={`${decimals(alpha.value)}${alpha.ci ? ` (${decimals(alpha.ci[0])} to ${decimals(alpha.ci[1])})` : ''}`}
        />
      </dl>
      {/* biome-ignore lint/a11y/noNoninteractiveTabindex: a wide table scrolls, and the keyboard must reach it */}
      <section class="wide" tabIndex={0} aria-label="Raters">
        <table>
          <caption>Raters</caption>
          <thead>
            <tr>
              <th scope="col">Rater</th>
              <th scope="col">Votes</th>
              <th scope="col">First chosen</th>
              <th scope="col">Gold right</th>
              <th scope="col">Same when swapped</th>
              <th scope="col">Median time</th>
              <th scope="col">Flags</th>
            </tr>
          </thead>
          <tbody>
            {raters.map((rater) => (
              <Rater
                key={rater.rater}
                rater={rater}
                most={Math.max(...raters.map((each) => each.votes))}
                resume={() => resume(rater.rater)}
              />
            ))}
          </tbody>
        </table>
      </section>
      {byGroup.length > 0 && (
        // biome-ignore lint/a11y/noNoninteractiveTabindex: as above
        <section class="wide" tabIndex={0} aria-label="Agreement by group">
          <table>
            <caption>Agreement by group</caption>
            <thead>
              <tr>
                <th scope="col">Group</th>
                <th scope="col">Pairs</th>
                <th scope="col">Alpha</th>
              </tr>
            </thead>
            <tbody>
              {byGroup.map(({ group, value, pairs: count, alpha: own }) => (
                <tr key={`${group} ${value}`}>
                  <th scope="row">
                    {group}: {value}
                  </th>
                  <td>{count}</td>
                  <td>{decimals(own)}</td>
                </tr>
              ))}
            </tbody>
          </table>
        </section>
      )}
    </>
  );
}

const Figure = ({ name, value }: { name: string; value: string }) => (
  <div>
    <dt>{name}</dt>
    <dd>{value}</dd>
  </div>
);

function Rater({ rater, most, resume }: { rater: RaterFigures; most: number; resume: () => void }) {
  const { firstShare, gold, repeats, medianSeconds, outliers, sideBias, paused } = rater;
  const flags = [sideBias && 'goes by place', paused && 'paused: gold', outliers > 0 && `${outliers} odd times`]
    .filter(Boolean)
    .join(', ');
  return (
    <tr>
      <th scope="row">{rater.rater}</th>
      <td>
        <Bar share={rater.votes / Math.max(most, 1)} /> {rater.votes}
      </td>
      <td>
        <Share {...firstShare} /> {firstShare.value === null ? '–' : `${Math.round(100 * firstShare.value)} %`}
      </td>
      <td>{gold.right + gold.wrong === 0 ? '–' : `${gold.right} of ${gold.right + gold.wrong}`}</td>
      <td>{repeats.of === 0 ? '–' : `${repeats.same} of ${repeats.of}`}</td>
      <td>{medianSeconds === null ? '–' : `${medianSeconds.toFixed(1)} s`}</td>
      <td class={sideBias || paused ? 'flag' : ''}>
        {flags || 'none'}
        {paused && (
          <>
            {' '}
            <button type="button" onClick={resume} aria-label={`Let ${rater.rater} go on`}>
              Let go on
            </button>
          </>
        )}
      </td>
    </tr>
  );
}

const Bar = ({ share }: { share: number }) => (
  <svg class="chart" width="80" height="12" viewBox="0 0 80 12" aria-hidden="true">
    <rect class="ground" width="80" height="12" />
    <rect class="value" width={80 * share} height="12" />
  </svg>
);

/** A share with its interval, and one half, at which it should be. */
const Share = ({ value, ci }: RaterFigures['firstShare']) => (
  <svg class="chart" width="80" height="12" viewBox="0 0 80 12" aria-hidden="true">
    <rect class="ground" width="80" height="12" />
    {ci && <rect class="interval" x={80 * ci[0]} y="4" width={80 * (ci[1] - ci[0])} height="4" />}
    {value !== null && <rect class="value" x={Math.min(80 * value, 77)} width="3" height="12" />}
    <line class="half" x1="40" x2="40" y1="0" y2="12" />
  </svg>
);

const decimals = (value: number | null): string => (value === null ? '–' : value.toFixed(2));

render(<Admin />, document.getElementById('app')!);
