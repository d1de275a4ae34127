"""Read an object again and again while a thread replaces it; print what was found, as JSON."""

import json
import sys
import threading

from pyspark.sql import SparkSession

from kyros_spark.storage.small_files import HadoopStore

SIZES = [200, 5000]  # of another length each time, as a lease's number of beats is


def replace(store, stop):
    number = 0
    while not stop.is_set():
        number += 1
        store.put("1.json", b"%d" % (number % 10) * SIZES[number % 2])


store = HadoopStore(SparkSession.builder.getOrCreate(), sys.argv[1])
store.put("1.json", b"0" * SIZES[0])
stop = threading.Event()
writer = threading.Thread(target=replace, args=(store, stop))
writer.start()
found = []
try:
    for _ in range(100):
        data = store.get("1.json")
        found.append(data is not None and len(data) in SIZES and len(set(data)) == 1)
finally:
    stop.set()
    writer.join()
told = {"read": len(found), "whole": sum(found), "absent": store.get("2.json")}
sys.stdout.write(json.dumps(told) + "\n")
