export { type DestinationAddress, parseDestination } from './address.ts';
export { AwsClients } from './aws-clients.ts';
export { createDestinations, type DeliveringDestinations, type DestinationOptions } from './deliver.ts';
