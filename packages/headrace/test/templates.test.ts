import assert from 'node:assert/strict';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, it } from 'node:test';
import { HeadraceError } from '../src/errors.ts';
import { zipFolder } from '../src/templates/code-package.ts';
import { parseTemplate } from '../src/templates/document.ts';
import { planTemplate } from '../src/templates/plan.ts';

const plan = (text: string, parameters: Record<string, string> = {}) =>
  planTemplate(parseTemplate(text, 'template.yaml'), {
    templateFile: '/somewhere/template.yaml',
    parameters,
    region: 'eu-central-1',
    accountId: '123456789012',
    stackName: 'local',
  });

const refuses = (text: string, message: RegExp, parameters: Record<string, string> = {}): void => {
  assert.throws(
    () => plan(text, parameters),
    (error) => HeadraceError.is(error) && error.code === 'TEMPLATE' && message.test(error.message),
  );
};

const template = `
AWSTemplateFormatVersion: '2010-09-09'
Transform: AWS::Serverless-2016-10-31
Parameters:
  Topic: { Type: String, Default: logs }
  Runtime: { Type: String, Default: nodejs22.x, AllowedValues: [nodejs22.x, python3.12] }
  Servers: { Type: CommaDelimitedList, Default: 'a:9092, b:9092' }
Conditions:
  IsPython: !Equals [!Ref Runtime, python3.12]
Globals:
  Function:
    Timeout: "30"
    Environment: { Variables: { SHARED: yes, LEVEL: 3 } }
Resources:
  Scores:
    Type: AWS::Serverless::SimpleTable
    Properties: { PrimaryKey: { Name: id, Type: String } }
  Handler:
    Type: AWS::Serverless::Function
    Properties:
      CodeUri: src/
      Handler: !If [IsPython, handler.lambda_handler, handler.handler]
      Runtime: !Ref Runtime
      MemorySize: 256
      Role: !Sub 'arn:\${AWS::Partition}:iam::\${AWS::AccountId}:role/x'
      Environment: { Variables: { TABLE: !Ref Scores, TABLE_ARN: !GetAtt Scores.Arn, NOTHING: !Ref AWS::NoValue } }
      Events:
        Logs:
          Type: SelfManagedKafka
          Properties:
            KafkaBootstrapServers: !Ref Servers
            Topics: [!Ref Topic]
            BatchSize: '500'
            StartingPosition: TRIM_HORIZON
            FilterCriteria: { Filters: [{ Pattern: '{"value":{"a":[1]}}' }] }
Outputs:
  Function: { Value: !GetAtt Handler.Arn }
`;

describe('a template becomes the calls that a client would make', () => {
  it('tables first, then functions, then mappings, with intrinsic functions evaluated and text coerced', () => {
    const { steps, outputs, remarks } = plan(template);
    assert.deepEqual(
      steps.map((step) => [step.kind, step.logicalId]),
      [
        ['table', 'Scores'],
        ['function', 'Handler'],
        ['mapping', 'HandlerLogs'],
      ],
    );
    const [, handler, mapping] = steps;
    assert.ok(handler?.kind === 'function' && mapping?.kind === 'mapping');
    assert.equal(handler.codeFolder, '/somewhere/src');
    assert.equal(handler.input.Timeout, 30);
    assert.equal(handler.input.Handler, 'handler.handler');
    assert.deepEqual(handler.input.Environment?.Variables, {
      SHARED: 'yes',
      LEVEL: '3',
      TABLE: 'Scores',
      TABLE_ARN: 'arn:aws:dynamodb:eu-central-1:123456789012:table/Scores',
    });
    assert.equal(mapping.input.BatchSize, 500);
    assert.equal(mapping.input.FunctionName, 'Handler');
    assert.deepEqual(mapping.input.SelfManagedEventSource, {
      Endpoints: { KAFKA_BOOTSTRAP_SERVERS: ['a:9092', 'b:9092'] },
    });
    assert.deepEqual(mapping.input.FilterCriteria, { Filters: [{ Pattern: '{"value":{"a":[1]}}' }] });
    assert.deepEqual(outputs, { Function: 'arn:aws:lambda:eu-central-1:123456789012:function:Handler' });
    assert.deepEqual(remarks, ['Handler.Role is not needed here']);
  });

  it('conditions follow parameters', () => {
    const [, handler] = plan(template, { Runtime: 'python3.12' }).steps;
    assert.ok(handler?.kind === 'function');
    assert.equal(handler.input.Handler, 'handler.lambda_handler');
  });

  it('refuses by name what it does not know', () => {
    refuses(
      template.replace('AWS::Serverless::SimpleTable', 'AWS::EC2::Instance'),
      /Scores: the type AWS::EC2::Instance/,
    );
    refuses(template.replace('MemorySize: 256', 'SnapStart: { ApplyOn: None }'), /Handler\.SnapStart is not supported/);
    refuses(
      template.replace('Type: SelfManagedKafka', 'Type: Schedule'),
      /Handler\.Events\.Logs: the event type Schedule/,
    );
    refuses(template.replace('!Ref Topic', '!ImportValue Topic'), /Fn::ImportValue is not supported/);
    refuses(template.replace('!Ref Topic', '!Ref Topik'), /Ref Topik names no parameter/);
    refuses(template.replace('MemorySize: 256', 'MemorySize: much'), /Handler\.MemorySize must be a whole number/);
    refuses(template, /parameter Runtime must be one of nodejs22.x, python3.12/, { Runtime: 'ruby' });
    refuses(template, /no parameter Nope/, { Nope: 'x' });
    refuses(template.replace('Resources:', 'Ressources:'), /unknown section Ressources/);
    refuses('Resources: [', /template\.yaml/);
    refuses('', /a template is a map/);
    refuses(
      template.replace('IsPython: !Equals [!Ref Runtime, python3.12]', 'IsPython: !Not [!Condition IsPython]'),
      /refers to itself/,
    );
  });

  it('the same folder gives the same package, byte for byte', async (t) => {
    const folder = await mkdtemp(join(tmpdir(), 'headrace-code-'));
    t.after(() => rm(folder, { recursive: true }));
    await assert.rejects(zipFolder(folder), /is empty/);
    await writeFile(join(folder, 'b.mjs'), 'export const handler = async () => 1;');
    await writeFile(join(folder, 'a.txt'), 'x');
    const first = await zipFolder(folder);
    await writeFile(join(folder, 'a.txt'), 'x');
    assert.ok(first.equals(await zipFolder(folder)));
    await assert.rejects(zipFolder(join(folder, 'nowhere')), /cannot be read/);
  });
});
