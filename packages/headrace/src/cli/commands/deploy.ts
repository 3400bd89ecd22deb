import { readFileSync } from 'node:fs';
import { basename } from 'node:path';
import { DynamoDBClient } from '@aws-sdk/client-dynamodb';
import { LambdaClient } from '@aws-sdk/client-lambda';
import { HeadraceError } from '../../errors.ts';
import { parseAssignments } from '../../run/handler-source.ts';
import { deployPlan } from '../../templates/deploy.ts';
import { parseTemplate } from '../../templates/document.ts';
import { planTemplate } from '../../templates/plan.ts';
import { clientError, clientFlags, readClientFlags } from '../client-flags.ts';
import type { Command } from '../command.ts';

export const command: Command = {
  usage: 'deploy TEMPLATE [--parameter NAME=VALUE]… [options]',
  description:
    'Deploys a SAM template to a running engine by the same calls that any client makes: tables, functions, event source ' +
    'mappings. What is there already is updated. Understood today: AWS::Serverless::Function with MSK and SelfManagedKafka ' +
    'events, AWS::Serverless::SimpleTable, AWS::DynamoDB::Table, parameters, conditions, globals and the common intrinsic ' +
    'functions. Anything else is refused by name before anything is made.',
  positionals: ['TEMPLATE'],
  options: {
    ...clientFlags,
    parameter: {
      type: 'string',
      short: 'p',
      multiple: true,
      value: 'NAME=VALUE',
      description: 'a parameter of the template; may be repeated',
    },
    'stack-name': { type: 'string', value: 'NAME', description: 'what AWS::StackName stands for (default local)' },
    json: { type: 'boolean', description: 'one JSON document' },
  },
  examples: [
    {
      line: 'headrace deploy examples/log-anomaly/template.yaml -p ClusterArn=arn:aws:kafka:us-east-1:123456789012:cluster/logs/1',
      does: 'the example of this repository, on the engine at AWS_ENDPOINT_URL',
    },
  ],
  async run({ positionals, options, terminal }) {
    const [templateFile = ''] = positionals;
    const client = readClientFlags(options);
    let text: string;
    try {
      text = readFileSync(templateFile, 'utf8');
    } catch (error) {
      throw new HeadraceError(
        'INPUT_UNREADABLE',
        `the template ${templateFile} cannot be read: ${(error as Error).message}`,
      );
    }
    const plan = planTemplate(parseTemplate(text, basename(templateFile)), {
      templateFile,
      parameters: parseAssignments(options.strings('parameter'), '--parameter'),
      region: client.region,
      accountId: '123456789012',
      stackName: options.string('stack-name') ?? 'local',
    });
    const json = options.boolean('json');
    const configuration = { ...client, maxAttempts: 2 };
    const lambda = new LambdaClient(configuration);
    const dynamodb = new DynamoDBClient(configuration);
    try {
      const things = await deployPlan(plan, { lambda, dynamodb }, ({ kind, logicalId, physicalId, action }) => {
        if (!json) terminal.print(`${action.padEnd(8)} ${kind.padEnd(9)} ${logicalId} (${physicalId})`);
      });
      if (json) terminal.print(JSON.stringify({ things, outputs: plan.outputs, remarks: plan.remarks }, null, 2));
      else {
        for (const remark of plan.remarks) terminal.print(`note     ${remark}`);
        for (const [name, value] of Object.entries(plan.outputs)) terminal.print(`output   ${name} = ${value}`);
      }
      return 0;
    } catch (error) {
      throw HeadraceError.is(error) ? error : clientError(error, client.endpoint);
    } finally {
      lambda.destroy();
      dynamodb.destroy();
    }
  },
};
