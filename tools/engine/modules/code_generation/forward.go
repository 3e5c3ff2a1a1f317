package main

import (
	"context"
	"errors"
	"fmt"
	"io"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/emptypb"

	pulumirpc "github.com/pulumi/pulumi/sdk/v3/proto/go"
)

// The engine's own limit.
const largestMessage = 400 << 20

// raw leaves messages as they are: what is passed on need not be understood.
type raw struct{}

func (raw) Name() string { return "raw" }

func (raw) Marshal(message any) ([]byte, error) { return *message.(*[]byte), nil }

func (raw) Unmarshal(data []byte, message any) error {
	*message.(*[]byte) = append([]byte(nil), data...)
	return nil
}

// front answers the engine.
type front struct {
	older    *grpc.ClientConn
	language language
}

// serve handles one call. Every method has one request; some have several answers.
func (f *front) serve(_ any, call grpc.ServerStream) error {
	method, ok := grpc.MethodFromServerStream(call)
	if !ok {
		return errors.New("a call without a method")
	}
	var request []byte
	if err := call.RecvMsg(&request); err != nil {
		return err
	}
	switch method {
	case pulumirpc.LanguageRuntime_GeneratePackage_FullMethodName:
		return answer(call, request, f.language.generatePackage)
	case pulumirpc.LanguageRuntime_GenerateProgram_FullMethodName:
		return answer(call, request, f.language.generateProgram)
	case pulumirpc.LanguageRuntime_GenerateProject_FullMethodName:
		return answer(call, request, f.language.generateProject)
	case pulumirpc.LanguageRuntime_Link_FullMethodName:
		return answer(call, request, f.language.link)
	}
	if f.older != nil {
		return f.forward(call, method, request)
	}
	if method == pulumirpc.LanguageRuntime_GetPluginInfo_FullMethodName {
		return answer(call, request, func(context.Context, *emptypb.Empty) (*pulumirpc.PluginInfo, error) {
			return &pulumirpc.PluginInfo{}, nil
		})
	}
	return status.Errorf(codes.Unimplemented, "this host only generates code: it has no %s", method)
}

// forward lets the older host answer.
func (f *front) forward(call grpc.ServerStream, method string, request []byte) error {
	stream, err := f.older.NewStream(call.Context(), &grpc.StreamDesc{ServerStreams: true}, method)
	if err != nil {
		return err
	}
	if err := stream.SendMsg(&request); err != nil {
		return err
	}
	if err := stream.CloseSend(); err != nil {
		return err
	}
	for {
		var response []byte
		if err := stream.RecvMsg(&response); errors.Is(err, io.EOF) {
			return nil
		} else if err != nil {
			return err
		}
		if err := call.SendMsg(&response); err != nil {
			return err
		}
	}
}

// message is a pointer to a message of the protocol.
type message[T any] interface {
	*T
	proto.Message
}

// answer lets a method of this program answer.
func answer[T any, Request message[T], Response proto.Message](
	call grpc.ServerStream, data []byte, method func(context.Context, Request) (Response, error),
) error {
	request := Request(new(T))
	if err := proto.Unmarshal(data, request); err != nil {
		return fmt.Errorf("a request that cannot be read: %w", err)
	}
	response, err := method(call.Context(), request)
	if err != nil {
		return err
	}
	encoded, err := proto.Marshal(response)
	if err != nil {
		return err
	}
	return call.SendMsg(&encoded)
}
