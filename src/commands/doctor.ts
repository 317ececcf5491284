import { HpsCommand } from '../core/cli/base-command.js';
import { formatDiagnosis } from '../core/cli/render-diagnosis.js';
import { type Diagnosis, diagnose } from '../core/lifecycle/doctor/doctor.js';

export default class Doctor extends HpsCommand<Diagnosis> {
  static override summary = 'Print versions, devices, what is missing and how to get it.';
  static override examples = ['<%= config.bin %> <%= command.id %>', '<%= config.bin %> <%= command.id %> --json'];

  protected override readonly report = 'diagnosis';

  async run(): Promise<Diagnosis> {
    await this.parse(Doctor);
    const diagnosis = await diagnose();
    this.log(formatDiagnosis(diagnosis));
    return diagnosis;
  }
}
