/** A line of a web server's access log. */
export interface AccessLogEntry {
  timestamp: string | undefined;
  source: string;
  client: string;
  method: string;
  path: string;
  status: number;
  /** 0 where the log has `-`. */
  bytes: number;
  referrer: string | undefined;
  userAgent: string | undefined;
  /** A number that stands at the end of the line, as it is: `$request_time` of nginx (seconds), `%D` of Apache (µs). */
  requestTime: number | undefined;
}

// host identity user [time] "request" status bytes ["referrer" "user agent" [anything] [number]]
const combined =
  /^(\S+) \S+ \S+ \[([^\]]+)\] "((?:[^"\\]|\\.)*)" (\d{3}) (\d+|-)(?: "((?:[^"\\]|\\.)*)" "((?:[^"\\]|\\.)*)")?(?:.*?[ =](\d+(?:\.\d+)?))?\s*$/;

const months = ['Jan', 'Feb', 'Mar', 'Apr', 'May', 'Jun', 'Jul', 'Aug', 'Sep', 'Oct', 'Nov', 'Dec'];

/** Reads a line of the common or the combined log format; undefined when it is none. */
export function parseAccessLogLine(line: string, source: string): AccessLogEntry | undefined {
  const match = combined.exec(line);
  if (!match) return undefined;
  const [, client, time, request, status, bytes, referrer, userAgent, requestTime] = match;
  const [method = '', path = ''] = request!.split(' ');
  return {
    timestamp: parseTime(time!),
    source,
    client: client!,
    method,
    path,
    status: Number(status),
    bytes: bytes === '-' ? 0 : Number(bytes),
    referrer: referrer === '-' ? undefined : referrer,
    userAgent: userAgent === '-' ? undefined : userAgent,
    requestTime: requestTime === undefined ? undefined : Number(requestTime),
  };
}

/** `10/Oct/2000:13:55:36 -0700` as ISO 8601. */
function parseTime(text: string): string | undefined {
  const match = /^(\d\d)\/(\w{3})\/(\d{4}):(\d\d:\d\d:\d\d) ([+-]\d\d)(\d\d)$/.exec(text);
  const month = months.indexOf(match?.[2] ?? '') + 1;
  if (!match || month === 0) return undefined;
  const time = Date.parse(
    `${match[3]}-${String(month).padStart(2, '0')}-${match[1]}T${match[4]}${match[5]}:${match[6]}`,
  );
  return Number.isNaN(time) ? undefined : new Date(time).toISOString();
}
