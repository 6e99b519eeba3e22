// Echo or proxy on Go's net package: the least code that its documentation leads to. io.Copy
// between two TCP connections splices. The runner sets GOMAXPROCS=1.
//
// usage: peer PORT [UPSTREAM_PORT]
package main

import (
	"fmt"
	"io"
	"net"
	"os"
)

func main() {
	if len(os.Args) < 2 || len(os.Args) > 3 {
		fmt.Fprintln(os.Stderr, "usage: peer PORT [UPSTREAM_PORT]")
		os.Exit(2)
	}
	listener, err := net.Listen("tcp4", "127.0.0.1:"+os.Args[1])
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	for {
		client, err := listener.Accept()
		if err != nil {
			continue
		}
		if len(os.Args) == 2 {
			go echo(client)
		} else {
			go proxy(client, "127.0.0.1:"+os.Args[2])
		}
	}
}

func echo(client net.Conn) {
	defer client.Close()
	buffer := make([]byte, 16<<10)
	for {
		n, err := client.Read(buffer)
		if err != nil {
			return
		}
		if _, err := client.Write(buffer[:n]); err != nil {
			return
		}
	}
}

func proxy(client net.Conn, address string) {
	defer client.Close()
	upstream, err := net.Dial("tcp4", address)
	if err != nil {
		return
	}
	defer upstream.Close()
	done := make(chan struct{})
	go func() {
		io.Copy(upstream, client)
		upstream.(*net.TCPConn).CloseWrite()
		close(done)
	}()
	io.Copy(client, upstream)
	client.(*net.TCPConn).CloseWrite()
	<-done
}
