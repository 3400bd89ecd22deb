import { invalidParameter } from './errors.ts';

/** What the service accepts, in the order in which its message lists them (recorded November 2026). */
export const acceptedRuntimes: readonly string[] =
  'nodejs20.x, python3.14, provided.al2023, python3.12, python3.13, nodejs24.x, nodejs22.x, java25, python3.10, python3.11, java21, ruby3.3, ruby3.4, ruby3.2, python3.8, python3.9, java17, nodejs16.x, dotnet10, dotnet8, java11, dotnet6, nodejs18.x, provided.al2, java8.al2'.split(
    ', ',
  );

/** In the model, and accepted by newer services than the recorded one. */
const newer = ['nodejs26.x', 'python3.15', 'ruby4.0', 'java8.al2023', 'java11.al2023', 'java17.al2023'];

const retired =
  'nodejs nodejs4.3 nodejs4.3-edge nodejs6.10 nodejs8.10 nodejs10.x nodejs12.x nodejs14.x java8 python2.7 python3.6 python3.7 dotnetcore1.0 dotnetcore2.0 dotnetcore2.1 dotnetcore3.1 go1.x ruby2.5 ruby2.7 provided'.split(
    ' ',
  );

/** Throws for a runtime that no function can be made with. */
export function checkRuntime(runtime: string): void {
  if (acceptedRuntimes.includes(runtime) || newer.includes(runtime)) return;
  if (retired.includes(runtime)) {
    throw invalidParameter(
      `The runtime parameter of ${runtime} is no longer supported for creating or updating AWS Lambda functions. We recommend you use a supported runtime while creating or updating functions.`,
    );
  }
  const values = acceptedRuntimes.join(', ');
  throw invalidParameter(
    `Value ${runtime} at 'runtime' failed to satisfy constraint: Member must satisfy enum value set: [${values}] or be a valid ARN`,
  );
}

/** Also names that only older functions and layers have. */
export const knownRuntimes: readonly string[] = [...acceptedRuntimes, ...newer, ...retired];
