/** Something that is known to have happened in an input: the records from `firstRecord` to before `endRecord` show it. */
export interface LabelledIncident {
  readonly kind: string;
  readonly firstRecord: number;
  readonly endRecord: number;
}

export interface ScoredRecord {
  /** Index in the input. */
  readonly index: number;
  readonly score: number;
}

/** How well the scores tell the incidents. */
export interface LabelEvaluation {
  readonly incidents: number;
  /** Incidents with at least one record over the threshold. */
  readonly found: number;
  readonly kinds: number;
  /** Kinds of which at least one incident was found. */
  readonly kindsFound: number;
  /** Records over the threshold outside all incidents, for each 1,000 records. */
  readonly falseAlarmsPer1000: number;
  /** Share of the records over the threshold that lie in an incident; null when there are none. */
  readonly precision: number | null;
  /** Share of the incidents that were found; null when there are none. */
  readonly recall: number | null;
  readonly byKind: readonly { readonly kind: string; readonly incidents: number; readonly found: number }[];
}

/**
 * Compares scores with labels. Precision is counted by record and recall by incident, as is usual for time series: what
 * counts is that an incident is noticed, not that every record in it stands out (it cannot: after some time an incident
 * is what the forest has learnt), while each single false alarm costs somebody's attention.
 *
 * A labelled incident of which no record was scored counts as not found.
 */
export function evaluateLabels(
  incidents: readonly LabelledIncident[],
  scored: Iterable<ScoredRecord>,
  threshold: number,
): LabelEvaluation {
  const ordered = [...incidents].sort((a, b) => a.firstRecord - b.firstRecord);
  const found = new Set<LabelledIncident>();
  let records = 0;
  let alarms = 0;
  let falseAlarms = 0;
  for (const { index, score } of scored) {
    records += 1;
    if (score <= threshold) continue;
    alarms += 1;
    const hits = ordered.filter(({ firstRecord, endRecord }) => index >= firstRecord && index < endRecord);
    if (hits.length === 0) falseAlarms += 1;
    for (const incident of hits) found.add(incident);
  }
  const byKind = [...new Set(incidents.map(({ kind }) => kind))].sort().map((kind) => {
    const ofKind = incidents.filter((incident) => incident.kind === kind);
    return { kind, incidents: ofKind.length, found: ofKind.filter((incident) => found.has(incident)).length };
  });
  return {
    incidents: incidents.length,
    found: found.size,
    kinds: byKind.length,
    kindsFound: byKind.filter((kind) => kind.found > 0).length,
    falseAlarmsPer1000: rounded(records === 0 ? 0 : (1_000 * falseAlarms) / records),
    precision: alarms === 0 ? null : rounded((alarms - falseAlarms) / alarms),
    recall: incidents.length === 0 ? null : rounded(found.size / incidents.length),
    byKind,
  };
}

function rounded(value: number): number {
  return Number(value.toFixed(3));
}
