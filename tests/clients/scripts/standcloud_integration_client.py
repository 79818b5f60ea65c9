"""The StandCloud SDK as its report command uses it. Arguments: base URL, API key, part number, answer file."""

import json
import sys

from standcloud_integration.client import StandCloudClient, StandCloudError

url, key, part_number, answer = sys.argv[1:]
client = StandCloudClient(key, base_url=url)


def refusal(client):
    try:
        client.get_test_runs(part_number=part_number)
    except StandCloudError as error:
        return str(error)
    return None


runs = client.get_test_runs(part_number=part_number)
batch = next(run.batch_number for run in runs if run.batch_number)
results = {
    "runs": [run.model_dump(mode="json") for run in runs],
    "batch": batch,
    "of_batch": [
        run.model_dump(mode="json") for run in client.get_test_runs(part_number=part_number, batch_number=batch)
    ],
    "nothing": client.get_test_runs(part_number="NO-SUCH-PART"),
    "refused": refusal(StandCloudClient("a-key-nobody-has", base_url=url)),
}
with open(answer, "w", encoding="utf-8") as file:
    json.dump(results, file)
