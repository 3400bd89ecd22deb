export { type DestinationAddress, parseDestination } from './address.ts';
export { createDestinations, type DeliveringDestinations, type DestinationOptions } from './deliver.ts';
