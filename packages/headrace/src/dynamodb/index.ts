export { startTableServer, type TableServer, type TableServerOptions } from './table-server.ts';
