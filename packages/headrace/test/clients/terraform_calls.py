"""The calls of Terraform's AWS provider for the resources of a function on Kafka, in its order and with its arguments:
create, refresh twice, change, destroy. Ends at the first answer that the provider could not work with.

Arguments: the package, and the broker. What each resource calls: internal/service/lambda of hashicorp/terraform-provider-aws.
"""

import json
import sys
import time

import boto3

package = open(sys.argv[1], 'rb').read()
broker = sys.argv[2]
client = boto3.client('lambda')
iam = boto3.client('iam')
prefix = 'arn:aws:lambda:us-east-1:123456789012:function:'
empty_policy = json.dumps({'Version': '2012-10-17', 'Statement': []})


def until(read, holds, what):
    """The provider polls until a state is reached."""
    end = time.monotonic() + 30
    while time.monotonic() < end:
        found = read()
        if holds(found):
            return found
        time.sleep(0.02)
    raise AssertionError(f'{what}: {found}')


def gone(read):
    try:
        read()
        return False
    except client.exceptions.ResourceNotFoundException:
        return True


def refresh_function(version=None):
    found = client.get_function(FunctionName='tf')
    assert found['Configuration']['FunctionArn'] == prefix + 'tf' and found['Code']['Location'], found
    assert found['Tags'] == {'team': 'a'}, found
    pages = client.get_paginator('list_versions_by_function').paginate(FunctionName='tf')
    versions = [each['Version'] for page in pages for each in page['Versions']]
    assert versions[-1] == (version or '$LATEST'), versions
    # Any error here fails the refresh of every function.
    client.get_function_code_signing_config(FunctionName='tf')
    client.get_runtime_management_config(FunctionName='tf')
    client.get_function_recursion_config(FunctionName='tf')


def settled():
    until(lambda: client.get_function(FunctionName='tf')['Configuration']['LastUpdateStatus'],
          lambda status: status == 'Successful', 'the update settles')


# aws_iam_role, aws_iam_policy, aws_iam_role_policy_attachment
boto3.client('sts').get_caller_identity()
role = iam.create_role(RoleName='tf', AssumeRolePolicyDocument=empty_policy)['Role']['Arn']
policy = iam.create_policy(PolicyName='tf', PolicyDocument=empty_policy)['Policy']['Arn']
iam.attach_role_policy(RoleName='tf', PolicyArn=policy)
for _ in range(2):
    iam.get_role(RoleName='tf')
    iam.list_role_policies(RoleName='tf')
    assert iam.list_attached_role_policies(RoleName='tf')['AttachedPolicies'][0]['PolicyArn'] == policy
    iam.get_policy(PolicyArn=policy)
    iam.get_policy_version(PolicyArn=policy, VersionId='v1')

# aws_lambda_layer_version, aws_lambda_layer_version_permission
layer = client.publish_layer_version(LayerName='tf', Content={'ZipFile': package})
client.add_layer_version_permission(LayerName='tf', VersionNumber=1, StatementId='all', Principal='*',
                                    Action='lambda:GetLayerVersion')
client.get_layer_version(LayerName=layer['LayerArn'], VersionNumber=1)
json.loads(client.get_layer_version_policy(LayerName=layer['LayerArn'], VersionNumber=1)['Policy'])

# aws_lambda_function
client.create_function(FunctionName='tf', Role=role, Runtime='nodejs22.x', Handler='index.handler', Tags={'team': 'a'},
                       Code={'ZipFile': package}, Publish=False, Architectures=['x86_64'],
                       Environment={'Variables': {'FOO': 'bar'}}, Layers=[layer['LayerVersionArn']])
until(lambda: client.get_function(FunctionName='tf')['Configuration']['State'], lambda state: state == 'Active', 'Active')
client.put_function_concurrency(FunctionName='tf', ReservedConcurrentExecutions=2)
refresh_function()
refresh_function()
# Arguments that were taken out of the configuration are sent empty.
client.update_function_configuration(
    FunctionName='tf', Role=role, Handler='index.handler', Runtime='nodejs22.x', Timeout=9, MemorySize=256,
    Description='', DeadLetterConfig={'TargetArn': ''}, VpcConfig={'SecurityGroupIds': [], 'SubnetIds': []},
    Environment={'Variables': {}}, Layers=[], FileSystemConfigs=[], KMSKeyArn='', TracingConfig={'Mode': 'PassThrough'},
    EphemeralStorage={'Size': 512}, SnapStart={'ApplyOn': 'None'}, LoggingConfig={'LogFormat': 'Text'})
settled()
client.update_function_code(FunctionName='tf', ZipFile=package, Architectures=['x86_64'])
settled()
client.delete_function_concurrency(FunctionName='tf')
client.tag_resource(Resource=prefix + 'tf', Tags={'team': 'a', 'old': 'b'})
client.untag_resource(Resource=prefix + 'tf', TagKeys=['old'])
version = client.publish_version(FunctionName='tf')['Version']
until(lambda: client.get_function_configuration(FunctionName='tf', Qualifier=version)['State'],
      lambda state: state == 'Active', 'the version is Active')
refresh_function(version)

# aws_lambda_alias, aws_lambda_permission, aws_lambda_function_url, …_event_invoke_config, …_provisioned_concurrency_config
client.create_alias(FunctionName='tf', Name='live', FunctionVersion=version)
client.add_permission(FunctionName='tf', Qualifier='live', StatementId='s3', Action='lambda:InvokeFunction',
                      Principal='s3.amazonaws.com', SourceArn='arn:aws:s3:::bucket')
client.create_function_url_config(FunctionName='tf', AuthType='NONE')
client.put_function_event_invoke_config(FunctionName='tf', Qualifier='$LATEST', MaximumRetryAttempts=0)
client.put_provisioned_concurrency_config(FunctionName='tf', Qualifier='live', ProvisionedConcurrentExecutions=1)
until(lambda: client.get_provisioned_concurrency_config(FunctionName='tf', Qualifier='live')['Status'],
      lambda status: status == 'READY', 'provisioned')
for _ in range(2):
    assert client.get_alias(FunctionName=prefix + 'tf', Name='live')['FunctionVersion'] == version
    found = json.loads(client.get_policy(FunctionName='tf', Qualifier='live')['Policy'])
    assert found['Statement'][0]['Condition'] == {'ArnLike': {'AWS:SourceArn': 'arn:aws:s3:::bucket'}}, found
    assert client.get_function_url_config(FunctionName='tf')['FunctionUrl'].startswith('http')
    client.get_function_event_invoke_config(FunctionName='tf', Qualifier='$LATEST')

# aws_lambda_event_source_mapping
pattern = json.dumps({'value': {'a': [1]}})
uuid = client.create_event_source_mapping(
    FunctionName=prefix + 'tf', Topics=['terraform'], StartingPosition='TRIM_HORIZON', Enabled=False, Tags={'t': 'u'},
    SelfManagedEventSource={'Endpoints': {'KAFKA_BOOTSTRAP_SERVERS': [broker]}},
    FilterCriteria={'Filters': [{'Pattern': pattern}]},
    DestinationConfig={'OnFailure': {'Destination': 'arn:aws:sqs:us-east-1:123456789012:failed'}})['UUID']


def refresh_mapping():
    mapping = until(lambda: client.get_event_source_mapping(UUID=uuid),
                    lambda each: each['State'] in ('Enabled', 'Disabled'), 'the mapping settles')
    assert client.list_tags(Resource=mapping['EventSourceMappingArn'])['Tags'] == {'t': 'u'}
    return mapping


assert refresh_mapping()['FilterCriteria']['Filters'] == [{'Pattern': pattern}]
client.update_event_source_mapping(UUID=uuid, FunctionName=prefix + 'tf', BatchSize=5, FilterCriteria={}, ScalingConfig={},
                                   DestinationConfig={'OnFailure': {}}, Enabled=False)
changed = refresh_mapping()
assert changed['BatchSize'] == 5 and 'FilterCriteria' not in changed, changed

# destroy
client.delete_event_source_mapping(UUID=uuid)
until(lambda: gone(lambda: client.get_event_source_mapping(UUID=uuid)), bool, 'the mapping goes')
client.delete_provisioned_concurrency_config(FunctionName='tf', Qualifier='live')
client.delete_function_event_invoke_config(FunctionName='tf', Qualifier='$LATEST')
client.delete_function_url_config(FunctionName='tf')
client.remove_permission(FunctionName='tf', Qualifier='live', StatementId='s3')
client.delete_alias(FunctionName='tf', Name='live')
client.delete_function(FunctionName='tf')
assert gone(lambda: client.get_function(FunctionName='tf'))
client.delete_layer_version(LayerName='tf', VersionNumber=1)
iam.list_instance_profiles_for_role(RoleName='tf')
iam.detach_role_policy(RoleName='tf', PolicyArn=policy)
iam.list_policy_versions(PolicyArn=policy)
iam.delete_policy(PolicyArn=policy)
iam.delete_role(RoleName='tf')
print('created, refreshed, changed and destroyed')
