# The status of the caller → NetSuite's search; null leaves it out.
{open: "status.refName IS \"Open\"", paid: "status.refName IS \"Paid In Full\""}[$request.query.status // ""]
