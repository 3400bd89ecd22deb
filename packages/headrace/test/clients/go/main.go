// A Go program as users write them: it finds endpoint, region and keys in its environment, deploys the package named by its
// argument, and ends with a message at the first thing that is not as on AWS.
package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log"
	"os"
	"sort"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/config"
	"github.com/aws/aws-sdk-go-v2/service/lambda"
	"github.com/aws/aws-sdk-go-v2/service/lambda/types"
)

const role = "arn:aws:iam::123456789012:role/lambda"

func check(err error, what string) {
	if err != nil {
		log.Fatalf("%s: %v", what, err)
	}
}

func expect(holds bool, format string, values ...any) {
	if !holds {
		log.Fatalf(format, values...)
	}
}

func main() {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	zip, err := os.ReadFile(os.Args[1])
	check(err, "package")
	settings, err := config.LoadDefaultConfig(ctx, config.WithRetryMaxAttempts(1))
	check(err, "configuration")
	client := lambda.NewFromConfig(settings)

	for _, name := range []string{"go-0", "go-1", "go-2"} {
		_, err = client.CreateFunction(ctx, &lambda.CreateFunctionInput{
			FunctionName: aws.String(name), Role: aws.String(role), Runtime: types.RuntimeNodejs20x,
			Handler: aws.String("index.handler"), Code: &types.FunctionCode{ZipFile: zip},
			Tags: map[string]string{"team": "a: b"},
		})
		check(err, "CreateFunction")
		active := lambda.NewFunctionActiveV2Waiter(client)
		check(active.Wait(ctx, &lambda.GetFunctionInput{FunctionName: aws.String(name)}, time.Minute), "active")
	}
	update(ctx, client)
	list(ctx, client)
	invoke(ctx, client)
	stream(ctx, client)
	mappings(ctx, client)
	refusals(ctx, client)
	for _, name := range []string{"go-0", "go-1", "go-2"} {
		_, err = client.DeleteFunction(ctx, &lambda.DeleteFunctionInput{FunctionName: aws.String(name)})
		check(err, "DeleteFunction")
	}
	fmt.Println("everything as expected")
}

func update(ctx context.Context, client *lambda.Client) {
	changed, err := client.UpdateFunctionConfiguration(ctx, &lambda.UpdateFunctionConfigurationInput{
		FunctionName: aws.String("go-0"), Timeout: aws.Int32(17), MemorySize: aws.Int32(256),
	})
	check(err, "UpdateFunctionConfiguration")
	expect(changed.LastUpdateStatus == types.LastUpdateStatusInProgress, "status %v", changed.LastUpdateStatus)
	updated := lambda.NewFunctionUpdatedV2Waiter(client)
	check(updated.Wait(ctx, &lambda.GetFunctionInput{FunctionName: aws.String("go-0")}, time.Minute), "updated")
	// The whole ARN in the path, escaped by the client.
	arn := aws.String("arn:aws:lambda:us-east-1:123456789012:function:go-0")
	found, err := client.GetFunction(ctx, &lambda.GetFunctionInput{FunctionName: arn})
	check(err, "GetFunction")
	expect(*found.Configuration.Timeout == 17 && found.Tags["team"] == "a: b", "found %v %v", found.Configuration, found.Tags)
	version, err := client.PublishVersion(ctx, &lambda.PublishVersionInput{FunctionName: arn})
	check(err, "PublishVersion")
	published := lambda.NewPublishedVersionActiveWaiter(client)
	check(published.Wait(ctx, &lambda.GetFunctionConfigurationInput{
		FunctionName: arn, Qualifier: version.Version,
	}, time.Minute), "published")
	_, err = client.CreateAlias(ctx, &lambda.CreateAliasInput{
		FunctionName: arn, Name: aws.String("live"), FunctionVersion: version.Version,
	})
	check(err, "CreateAlias")
}

func list(ctx context.Context, client *lambda.Client) {
	var names []string
	pages := lambda.NewListFunctionsPaginator(client, &lambda.ListFunctionsInput{MaxItems: aws.Int32(2)})
	for pages.HasMorePages() {
		page, err := pages.NextPage(ctx)
		check(err, "ListFunctions")
		for _, function := range page.Functions {
			if strings.HasPrefix(*function.FunctionName, "go-") {
				names = append(names, *function.FunctionName)
			}
		}
	}
	expect(sort.StringsAreSorted(names) && len(names) == 3, "listed %v", names)
	account, err := client.GetAccountSettings(ctx, &lambda.GetAccountSettingsInput{})
	check(err, "GetAccountSettings")
	expect(account.AccountUsage.FunctionCount >= 3, "account %v", account.AccountUsage)
}

func invoke(ctx context.Context, client *lambda.Client) {
	answer, err := client.Invoke(ctx, &lambda.InvokeInput{
		FunctionName: aws.String("go-0"), Qualifier: aws.String("live"), Payload: []byte(`{"n":9007199254740993}`),
		LogType: types.LogTypeTail,
	})
	check(err, "Invoke")
	expect(*answer.ExecutedVersion == "1" && answer.StatusCode == 200, "answer %v", answer)
	expect(answer.LogResult != nil && json.Valid(answer.Payload), "log %v, payload %s", answer.LogResult, answer.Payload)
	event, err := client.Invoke(ctx, &lambda.InvokeInput{
		FunctionName: aws.String("go-0"), InvocationType: types.InvocationTypeEvent,
	})
	check(err, "Invoke of type Event")
	expect(event.StatusCode == 202, "status %d", event.StatusCode)
}

func stream(ctx context.Context, client *lambda.Client) {
	answer, err := client.InvokeWithResponseStream(ctx, &lambda.InvokeWithResponseStreamInput{
		FunctionName: aws.String("go-0"), Payload: []byte(`{"a":1}`),
	})
	check(err, "InvokeWithResponseStream")
	events := answer.GetStream()
	defer events.Close()
	var payload []byte
	isComplete := false
	for event := range events.Events() {
		switch each := event.(type) {
		case *types.InvokeWithResponseStreamResponseEventMemberPayloadChunk:
			payload = append(payload, each.Value.Payload...)
		case *types.InvokeWithResponseStreamResponseEventMemberInvokeComplete:
			isComplete = each.Value.ErrorCode == nil
		}
	}
	check(events.Err(), "stream")
	expect(isComplete && string(payload) == `{"a":1}`, "complete %v, payload %s", isComplete, payload)
}

func mappings(ctx context.Context, client *lambda.Client) {
	source := &types.SelfManagedEventSource{Endpoints: map[string][]string{"KAFKA_BOOTSTRAP_SERVERS": {"127.0.0.1:1"}}}
	for _, topic := range []string{"go-a", "go-b", "go-c"} {
		made, err := client.CreateEventSourceMapping(ctx, &lambda.CreateEventSourceMappingInput{
			FunctionName: aws.String("go-1"), SelfManagedEventSource: source, Topics: []string{topic}, Enabled: aws.Bool(false),
		})
		check(err, "CreateEventSourceMapping")
		expect(time.Since(*made.LastModified) < time.Hour && *made.BatchSize == 100, "made %v", made)
	}
	count := 0
	pages := lambda.NewListEventSourceMappingsPaginator(client, &lambda.ListEventSourceMappingsInput{
		FunctionName: aws.String("go-1"), MaxItems: aws.Int32(2),
	})
	for pages.HasMorePages() {
		page, err := pages.NextPage(ctx)
		check(err, "ListEventSourceMappings")
		count += len(page.EventSourceMappings)
	}
	expect(count == 3, "%d mappings listed", count)
}

func refusals(ctx context.Context, client *lambda.Client) {
	_, err := client.GetFunction(ctx, &lambda.GetFunctionInput{FunctionName: aws.String("nowhere")})
	var missing *types.ResourceNotFoundException
	expect(errors.As(err, &missing), "not a ResourceNotFoundException: %v", err)
	expect(strings.HasPrefix(missing.ErrorMessage(), "Function not found: arn:aws:lambda:"), "message %q", missing.ErrorMessage())
	_, err = client.CreateFunction(ctx, &lambda.CreateFunctionInput{
		FunctionName: aws.String("go-0"), Role: aws.String(role), Runtime: types.RuntimeNodejs20x,
		Handler: aws.String("index.handler"), Code: &types.FunctionCode{ZipFile: []byte("no zip")},
	})
	var conflict *types.ResourceConflictException
	expect(errors.As(err, &conflict), "not a ResourceConflictException: %v", err)
	_, err = client.UpdateFunctionConfiguration(ctx, &lambda.UpdateFunctionConfigurationInput{
		FunctionName: aws.String("go-1"), RevisionId: aws.String("00000000-0000-4000-8000-000000000000"),
	})
	var precondition *types.PreconditionFailedException
	expect(errors.As(err, &precondition), "not a PreconditionFailedException: %v", err)
}
