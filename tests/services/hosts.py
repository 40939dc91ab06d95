#!/usr/bin/env python3
"""What a test does on a host of its own (see `hosts` beside this file): sockets that have to be opened there.

    hosts.py hear <address>                     prints a free UDP port, then a line for each datagram
    hosts.py tell <address> <port>              sends datagrams, until it is ended
    hosts.py line <from> <to> <delay> <rate>    passes TCP on, each way so many seconds late and at most so many bytes a second
    hosts.py round <to>                         says nonsense, and prints how many seconds it takes to be turned away
    hosts.py stand <to> <count>                 keeps so many connections open and says nothing; a line for each
    hosts.py knock <to> <count>                 connects so often, says nonsense, half a greeting or nothing, and tells how it went

<from> and <to> are address:port.
"""

import asyncio
import os
import random
import resource
import socket
import sys
import time

# Connections that are held open at once.
HELD = 600
# The beginning of what a process of ours would say, and of what others would.
GREETING = b"millstream mesh\n"
HANDSHAKE = bytes.fromhex("160301020001") + os.urandom(512)


def place(text):
    address, port = text.rsplit(":", 1)
    return address, int(port)


def hear(address):
    ear = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    ear.bind((address, 0))
    print(ear.getsockname()[1], flush=True)
    while True:
        print(ear.recv(100), flush=True)


def tell(address, port):
    mouth = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    while True:
        try:
            mouth.sendto(b"!", (address, int(port)))
        except OSError:
            pass  # The cable is out, and it shows.
        time.sleep(0.02)


async def line(here, there, delay, rate):
    async def late(reader, writer):
        """Each piece leaves `delay` after it came, and not before the pieces ahead of it have gone at `rate`."""
        pieces, free = asyncio.Queue(), 0.0

        async def take():
            try:
                while piece := await reader.read(2048):
                    await pieces.put((time.monotonic() + delay, piece))
                    # No more under way than a line of this length would hold.
                    while pieces.qsize() > max(2, rate * delay / 2048):
                        await asyncio.sleep(0.01)
            except ConnectionResetError:
                pass  # An end like any other, passed on as one.
            await pieces.put((time.monotonic() + delay, b""))

        taking = asyncio.create_task(take())
        try:
            while True:
                due, piece = await pieces.get()
                free = max(free, time.monotonic()) + len(piece) / rate
                await asyncio.sleep(max(due, free) - time.monotonic())
                if not piece:
                    return
                writer.write(piece)
                await writer.drain()
        finally:
            taking.cancel()
            writer.close()

    async def connected(reader, writer):
        try:
            far_reader, far_writer = await asyncio.open_connection(*there)
        except OSError:
            return writer.close()
        print("connected", flush=True)
        both = late(reader, far_writer), late(far_reader, writer)
        await asyncio.gather(*both, return_exceptions=True)

    server = await asyncio.start_server(connected, *here)
    print("ready", flush=True)
    await server.serve_forever()


def round_trip(there):
    with socket.create_connection(there, 5) as there:
        began = time.monotonic()
        there.sendall(b"nonsense" * 16)
        try:
            while there.recv(100):
                pass
        except ConnectionResetError:
            pass
        print(time.monotonic() - began, flush=True)


async def knock(there, count):
    seed = random.Random(5)
    held, done = [], {"let in": 0, "refused": 0}

    async def once(number):
        try:
            reader, writer = await asyncio.wait_for(asyncio.open_connection(*there), 5)
        except (OSError, asyncio.TimeoutError):
            done["refused"] += 1
            return
        done["let in"] += 1
        try:
            match number % 6:
                case 0:
                    writer.write(seed.randbytes(seed.randrange(1, 4000)))
                case 1:
                    writer.write(b"GET / HTTP/1.1\r\nHost: here\r\n\r\n")
                case 2:
                    writer.write(HANDSHAKE)
                case 3:
                    writer.write(GREETING)
                    return held.append(writer)
                case 4:
                    return held.append(writer)
                case 5:
                    pass
            await writer.drain()
            writer.close()
        except OSError:
            pass
        finally:
            while len(held) > HELD:
                held.pop(0).close()

    for first in range(0, count, 50):
        await asyncio.gather(*(once(number) for number in range(first, min(first + 50, count))))
        print(first + 50, flush=True)
    print(done["let in"], done["refused"], "in all", flush=True)


async def stand(there, count):
    async def one():
        first = True
        while True:
            try:
                reader, writer = await asyncio.open_connection(*there)
                if first:
                    print("here", flush=True)
                first = False
                await reader.read()
                writer.close()
            except OSError:
                pass  # No door, or no place at it: the next one tries.
            await asyncio.sleep(0.1)

    await asyncio.gather(*(one() for _ in range(count)))


def main():
    what, *rest = sys.argv[1:]
    limit = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (limit, limit))
    match what:
        case "hear":
            hear(*rest)
        case "tell":
            tell(*rest)
        case "line":
            asyncio.run(line(place(rest[0]), place(rest[1]), float(rest[2]), float(rest[3])))
        case "round":
            round_trip(place(rest[0]))
        case "stand":
            asyncio.run(stand(place(rest[0]), int(rest[1])))
        case "knock":
            asyncio.run(knock(place(rest[0]), int(rest[1])))


main()
