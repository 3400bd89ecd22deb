import { ErrorCode, type ErrorName } from '../protocol/errors.ts';
import type { JoinGroupResponse } from '../protocol/messages/join-group.ts';
import type { SyncGroupResponse } from '../protocol/messages/sync-group.ts';

/** A refused JoinGroup. */
export function joinError(name: ErrorName, memberId: string): JoinGroupResponse {
  return {
    errorCode: ErrorCode[name],
    generationId: -1,
    protocolType: null,
    protocolName: null,
    leader: '',
    memberId,
    members: [],
  };
}

/** A refused SyncGroup. */
export function syncError(name: ErrorName): SyncGroupResponse {
  return { errorCode: ErrorCode[name], protocolType: null, protocolName: null, assignment: Buffer.alloc(0) };
}
