// Fan-out by WebSocket (gorilla) and by events, and polling, on net/http: main PORT RATE
package main

import (
	"fmt"
	"log"
	"net/http"
	"os"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/gorilla/websocket"
)

const (
	quoteBytes = 150
	queue      = 256
)

// hub hands every quote to all that listen, as gorilla's chat example does.
type hub[T any] struct {
	lock    sync.Mutex
	readers map[chan T]bool
}

func (h *hub[T]) join() chan T {
	reader := make(chan T, queue)
	h.lock.Lock()
	defer h.lock.Unlock()
	h.readers[reader] = true
	return reader
}

func (h *hub[T]) leave(reader chan T) {
	h.lock.Lock()
	defer h.lock.Unlock()
	delete(h.readers, reader)
}

func (h *hub[T]) publish(item T) {
	h.lock.Lock()
	defer h.lock.Unlock()
	for reader := range h.readers {
		select {
		case reader <- item:
		default:
		}
	}
}

func quote(seq int) []byte {
	now := time.Now().UnixMicro()
	text := fmt.Sprintf(`{"seq":%d,"sym":"ACME","px":%.2f,"qty":100,"due":%d,"sent":%d,"pad":"`,
		seq, 100+float64(seq%1000)/100, now, now)
	return []byte(text + strings.Repeat(".", quoteBytes-2-len(text)) + `"}`)
}

func main() {
	rate, err := strconv.Atoi(os.Args[2])
	if err != nil {
		log.Fatal(err)
	}
	sockets := hub[*websocket.PreparedMessage]{readers: map[chan *websocket.PreparedMessage]bool{}}
	events := hub[[]byte]{readers: map[chan []byte]bool{}}
	go func() {
		seq := 0
		for range time.Tick(time.Second / time.Duration(rate)) {
			seq++
			text := quote(seq)
			if prepared, err := websocket.NewPreparedMessage(websocket.TextMessage, text); err == nil {
				sockets.publish(prepared)
			}
			events.publish([]byte("data: " + string(text) + "\n\n"))
		}
	}()

	upgrader := websocket.Upgrader{ReadBufferSize: 1024, WriteBufferSize: 1024}
	http.HandleFunc("/ws", func(w http.ResponseWriter, r *http.Request) {
		socket, err := upgrader.Upgrade(w, r, nil)
		if err != nil {
			return
		}
		defer socket.Close()
		reader := sockets.join()
		defer sockets.leave(reader)
		go func() {
			for {
				if _, _, err := socket.NextReader(); err != nil {
					socket.Close()
					return
				}
			}
		}()
		for prepared := range reader {
			if socket.WritePreparedMessage(prepared) != nil {
				return
			}
		}
	})
	http.HandleFunc("/sse", func(w http.ResponseWriter, r *http.Request) {
		flusher := w.(http.Flusher)
		w.Header().Set("Content-Type", "text/event-stream")
		flusher.Flush()
		reader := events.join()
		defer events.leave(reader)
		for {
			select {
			case <-r.Context().Done():
				return
			case block := <-reader:
				if _, err := w.Write(block); err != nil {
					return
				}
				flusher.Flush()
			}
		}
	})
	body := quote(1)
	http.HandleFunc("/quotes", func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		w.Write(body)
	})
	log.Fatal(http.ListenAndServe("127.0.0.1:"+os.Args[1], nil))
}
