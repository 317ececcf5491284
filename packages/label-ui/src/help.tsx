import { ACTIONS, type KeySettings, keyName, keysOf } from './keys.js';

/** What the keys are; each can be another one, and all can be switched off. */
export function Help({
  dialog,
  keys,
  onKeys,
}: {
  dialog: { current: HTMLDialogElement | null };
  keys: KeySettings;
  onKeys: (keys: KeySettings) => void;
}) {
  return (
    <dialog ref={dialog} aria-labelledby="help-title">
      <h2 id="help-title">Keys and help</h2>
      <p>
        Look at both, then say which one answers the question better. Skip a pair that you cannot judge. The order of
        the two is random.
      </p>
      <label class="switch">
        <input
          type="checkbox"
          checked={keys.enabled}
          onChange={({ currentTarget }) => onKeys({ ...keys, enabled: currentTarget.checked })}
        />{' '}
        Use keys
      </label>
      <table>
        <caption>Keys: press another one in its field to change it</caption>
        <tbody>
          {ACTIONS.map(({ action, label }) => (
            <tr key={action}>
              <th scope="row">{label}</th>
              <td>
                <input
                  class="key"
                  aria-label={`Key for: ${label}`}
                  value={keysOf(action, keys).map(keyName).join(' ')}
                  readOnly
                  onKeyDown={(event) => {
                    if (['Tab', 'Shift', 'Escape', 'Enter'].includes(event.key)) return;
                    event.preventDefault();
                    const key = event.key.length === 1 ? event.key.toLowerCase() : event.key;
                    const others = Object.entries(keys.keys).filter(([, used]) => used !== key);
                    onKeys({ ...keys, keys: { ...Object.fromEntries(others), [action]: key } });
                  }}
                />
              </td>
            </tr>
          ))}
        </tbody>
      </table>
      <p class="more">
        <button type="button" onClick={() => onKeys({ enabled: true, keys: {} })}>
          As they were
        </button>
        <button type="button" class="primary" onClick={() => dialog.current?.close()}>
          Close
        </button>
      </p>
    </dialog>
  );
}
