"""A folder of small files in memory, whose conditional write is exact."""

import threading


class Memory:
    """What a lease asks of a store."""

    def __init__(self):
        self.files, self.lock, self.broken = {}, threading.Lock(), False

    def names(self):
        return list(self.files)

    def create(self, name, data):
        with self.lock:
            if name in self.files:
                return False
            self.files[name] = data
            return True

    def put(self, name, data):
        if self.broken:
            raise OSError("the store does not answer")
        self.files[name] = data

    def get(self, name):
        return self.files.get(name)

    def remove(self, name):
        self.files.pop(name, None)
