// A language host in front of an older one.
//
// The language hosts that are published as Go modules cannot generate code. This program starts the one in the folder
// `older`, passes every request on to it, and answers those that generate code itself. Its own file name says for which
// language: pulumi-language-go, pulumi-language-nodejs or pulumi-language-python. The host for C# is not published as a
// module: pulumi-language-dotnet, built with the tag `csharp`, has none to start and only generates code.
package main

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
)

func main() {
	if err := run(); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func run() error {
	self, err := os.Executable()
	if err != nil {
		return err
	}
	name := filepath.Base(self)
	language, ok := languages[strings.TrimPrefix(name, "pulumi-language-")]
	if !ok {
		return fmt.Errorf("%s generates no code: name it pulumi-language-go, -nodejs, -python or -dotnet", name)
	}
	front := &front{language: language}
	ended := func() {}
	if path := filepath.Join(filepath.Dir(self), "older", name); exists(path) {
		if front.older, ended, err = start(path); err != nil {
			return err
		}
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	server := grpc.NewServer(grpc.ForceServerCodec(raw{}), grpc.MaxRecvMsgSize(largestMessage),
		grpc.UnknownServiceHandler(front.serve))
	fmt.Println(listener.Addr().(*net.TCPAddr).Port)
	if front.older != nil {
		go func() {
			ended()
			server.Stop()
		}()
	}
	return server.Serve(listener)
}

func exists(path string) bool {
	_, err := os.Stat(path)
	return err == nil
}

// start runs an older host; it returns a connection to it, and a function that returns when it has ended.
func start(path string) (*grpc.ClientConn, func(), error) {
	// It stays in this process group, which the engine ends as a whole.
	older := exec.Command(path, os.Args[1:]...)
	older.Stderr = os.Stderr
	stdout, err := older.StdoutPipe()
	if err != nil {
		return nil, nil, err
	}
	if err := older.Start(); err != nil {
		return nil, nil, err
	}
	lines := bufio.NewReader(stdout)
	port, err := lines.ReadString('\n')
	if err != nil {
		return nil, nil, fmt.Errorf("%s ended before it named its port: %w", older.Path, err)
	}
	connection, err := grpc.NewClient("127.0.0.1:"+strings.TrimSpace(port),
		grpc.WithTransportCredentials(insecure.NewCredentials()),
		grpc.WithDefaultCallOptions(grpc.ForceCodec(raw{}), grpc.MaxCallRecvMsgSize(largestMessage)))
	return connection, func() {
		_, _ = io.Copy(os.Stdout, lines)
		_ = older.Wait()
	}, err
}
