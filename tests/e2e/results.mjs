// A reporter of Node's test runner that writes one line a test for tests/run: STATUS <tab> SECONDS <tab> NAME <tab> REASON.
const clean = (text) => String(text).replace(/\s+/g, ' ').slice(0, 300);

export default async function* results(events) {
  for await (const { type, data } of events) {
    if (type !== 'test:pass' && type !== 'test:fail') continue;
    const { skip, todo, details } = data;
    const leftOut = skip !== undefined && skip !== false ? skip : todo !== undefined && todo !== false ? `todo${type === 'test:pass' ? ', but it passes' : ''}: ${todo}` : undefined;
    // A suite counts by its tests, unless it is left out as a whole or fails by itself.
    const isSuite = details?.type === 'suite';
    if (isSuite && leftOut === undefined && (type === 'test:pass' || details.error?.failureType === 'subtestsFailed')) continue;
    const status = leftOut !== undefined ? 'skipped' : type === 'test:pass' ? 'passed' : 'failed';
    const reason = status === 'failed' ? details?.error?.cause?.message ?? details?.error?.message ?? '' : leftOut ?? '';
    yield [status, Math.round((details?.duration_ms ?? 0) / 1000), `e2e/${clean(data.name).replace(/^.*\/tests\/e2e\//, '')}`, clean(reason === true ? 'no reason given' : reason)].join('\t') + '\n';
  }
}
